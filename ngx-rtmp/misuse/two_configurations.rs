use ngx_rtmp::{
    conf::{Block, Context},
    module::Module,
};

pub fn both<M: Module, B: Block<M>>(cx: &mut Context<'_, M, B>) {
    let settings = cx.settings();
    let main = cx.main();
    std::hint::black_box((settings, main));
}
