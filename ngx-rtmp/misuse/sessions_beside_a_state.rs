use ngx_rtmp::{module::Module, session::Session};

pub fn a_second_time<M: Module>(session: &mut Session<'_, M>) {
    let state = session.state();
    session.all().each(|other: &mut Session<'_, M>| std::mem::drop(other.state().map(std::mem::take)));
    std::hint::black_box(state);
}
