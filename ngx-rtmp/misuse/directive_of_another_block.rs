use std::ffi::CStr;

use ngx_rtmp::{
    conf::{Application, ArgumentError, Context, Directive, Location, Place},
    export::rtmp_command,
    module::Module,
};

pub struct Wrong;

impl<M: Module> Directive<M> for Wrong {
    type Block = Location;
    const NAME: &'static CStr = c"wrong";
    const PLACE: Place<Location> = Place::LOCATION.one();
    type Error = ArgumentError;
    fn set(_: &mut Context<'_, M, Location>) -> Result<(), ArgumentError> {
        Ok(())
    }
}

pub fn row<M: Module>() {
    let _: Option<Application> = None;
    let _ = rtmp_command::<M, Wrong>();
}
