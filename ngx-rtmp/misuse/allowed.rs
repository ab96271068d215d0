//! The counterpart of the other cases: the same calls, used correctly.

use ngx_rtmp::{
    conf::{Block, Context},
    module::Module,
    session::Session,
    sessions::Sessions,
    thread::{self, Pool},
    zone::Memory,
};

pub fn a_session_for_a_callback<M: Module>(sessions: &mut Sessions<'_>) {
    let mut names = Vec::new();
    sessions.each(|session: &mut Session<'_, M>| {
        let settings = session.settings();
        session.send_at_once(true);
        names.push((session.app().to_owned(), settings.is_some()));
    });
}

pub fn the_others_before_and_after_a_state<M: Module>(session: &mut Session<'_, M>) {
    session.all().each(|other: &mut Session<'_, M>| other.close());
    let _state = session.state();
    session.all().each(|other: &mut Session<'_, M>| other.close());
}

pub fn a_row_for_as_long_as_the_memory(memory: Memory) -> u64 {
    let row = memory.value::<u64>(0).copied();
    drop(memory);
    row.unwrap_or_default()
}

pub fn a_pool_closure_with_what_it_needs(pool: Pool, path: String) {
    thread::run_alone(pool, move || {
        let text = std::fs::read_to_string(path);
        Box::new(move |_| drop(text))
    });
}

pub fn one_configuration_after_the_other<M: Module, B: Block<M>>(cx: &mut Context<'_, M, B>) {
    let _settings = cx.settings();
    let _main = cx.main();
}
