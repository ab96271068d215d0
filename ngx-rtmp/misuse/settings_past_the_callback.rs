use ngx_rtmp::{module::Module, session};

pub fn kept<M: Module>() -> Option<&'static M::App> {
    session::find::<M, _>(|_| true, |session| session.settings()).flatten()
}
