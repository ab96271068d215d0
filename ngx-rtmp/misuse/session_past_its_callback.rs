use ngx_rtmp::{module::Module, session::Session, sessions::Sessions};

pub fn kept<M: Module>(sessions: &mut Sessions<'_>) {
    let mut kept = None;
    sessions.each(|session: &mut Session<'_, M>| kept = Some(session));
}
