use ngx_rtmp::{module::Module, sessions};

pub fn kept<M: Module>() -> Option<&'static M::App> {
    sessions::find::<M, _>(|_| true, |session| session.settings()).flatten()
}
