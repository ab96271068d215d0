//! An authenticator app.

use std::process::Command;

/// Returns the code of a secret, `steps` of 30 seconds from now, as computed by Python's standard library.
#[track_caller]
pub fn code(secret: &str, steps: i32) -> String {
    let program = "import sys, hmac, struct, time, base64\n\
        mac = hmac.new(base64.b32decode(sys.argv[1]), struct.pack('>Q', int(time.time()) // 30 + int(sys.argv[2])), 'sha1').digest()\n\
        at = mac[-1] & 15\n\
        print('%06d' % ((struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000))";
    let output = Command::new("python3").args(["-c", program, secret, &steps.to_string()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
