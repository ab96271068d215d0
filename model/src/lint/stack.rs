//! Checks the stack size of nginx's workers.

/// The default of Linux, in bytes, with which nginx-rtmp was tested.
const NEEDED: u64 = 8 << 20;

/// Returns a warning if the limit of the stack is too low (`RLIMIT_STACK`, in bytes); `None` means no limit.
pub fn small_stack(limit: Option<u64>) -> Option<String> {
    let limit = limit.filter(|limit| *limit < NEEDED)?;
    Some(format!(
        "weir: the stack of a worker ends at {} KB, nginx-rtmp needs {} KB: set \"LimitSTACK=8M\" in nginx's systemd unit, or \
         \"ulimit -s 8192\" where nginx is started",
        limit / 1024,
        NEEDED / 1024
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_8_mb_is_said() {
        assert_eq!(small_stack(None), None);
        assert_eq!(small_stack(Some(8 << 20)), None);
        assert_eq!(small_stack(Some(u64::MAX)), None);
        let said = small_stack(Some(1 << 20)).unwrap();
        assert!(said.contains("ends at 1024 KB") && said.contains("ulimit -s 8192"), "{said}");
    }
}
