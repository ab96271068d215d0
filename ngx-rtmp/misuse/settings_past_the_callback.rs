use ngx_rtmp::{module::Module, session::Session, sessions::Sessions};

pub fn kept<M: Module>(sessions: &mut Sessions<'_>) -> Option<&'static M::App> {
    sessions.find(|_: &mut Session<'_, M>| true, |session| session.settings()).flatten()
}
