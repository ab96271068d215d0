use ngx_rtmp::{module::Module, session::Session, sessions::Sessions};

pub fn kept<M: Module>(session: &mut Session<'_, M>) -> Sessions<'static> {
    session.all()
}
