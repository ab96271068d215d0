use ngx_rtmp::zone::Memory;

pub fn kept(memory: Memory) -> u64 {
    let row = memory.value::<u64>(0);
    drop(memory);
    row.copied().unwrap_or_default()
}
