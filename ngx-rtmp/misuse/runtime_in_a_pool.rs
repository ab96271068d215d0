use std::rc::Rc;

use ngx_rtmp::{
    thread::{self, Pool},
    zone::Memory,
};

pub fn taken(pool: Pool, runtime: Rc<Memory>) {
    thread::run_alone(pool, move || {
        runtime.mutex().lock();
        Box::new(|_| ())
    });
}
