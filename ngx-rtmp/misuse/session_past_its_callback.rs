use ngx_rtmp::{module::Module, session};

pub fn kept<M: Module>() {
    let mut kept = None;
    session::each::<M>(|session| kept = Some(session));
}
