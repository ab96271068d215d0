use ngx_rtmp::{module::Module, session::Session, sessions::Sessions};

pub fn two_at_a_time<M: Module>(sessions: &mut Sessions<'_>) {
    sessions.each(|session: &mut Session<'_, M>| {
        let state = session.state();
        sessions.each(|other: &mut Session<'_, M>| other.close());
        std::hint::black_box(state);
    });
}
