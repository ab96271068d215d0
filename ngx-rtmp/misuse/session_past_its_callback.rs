use ngx_rtmp::{module::Module, sessions};

pub fn kept<M: Module>() {
    let mut kept = None;
    sessions::each::<M>(|session| kept = Some(session));
}
