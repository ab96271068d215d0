use ngx_rtmp::zone::Memory;

pub fn read(memory: &Memory) -> Option<&Option<Box<u8>>> {
    memory.value(0)
}
