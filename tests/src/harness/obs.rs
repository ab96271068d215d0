//! OBS Studio from Debian, on a virtual screen, with a separate home, profile and scene.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::process::Process;
use super::{files, wait};

/// Answers to its first questions, and the paths of the profile and the scene.
const GLOBAL: &str = "\
[General]
FirstRun=true
LastVersion=486539266
EnableAutoUpdates=false
ConfirmOnExit=false
[Basic]
Profile=test
ProfileDir=test
SceneCollection=test
SceneCollectionFile=test
";

/// Small video, without a graphics card, and a keyframe per second. OBS reconnects soon after a disconnect.
const PROFILE: &str = "\
[General]
Name=test
[Output]
Mode=Simple
Reconnect=true
RetryDelay=2
MaxRetries=20
[SimpleOutput]
VBitrate=300
ABitrate=64
StreamEncoder=x264
Preset=ultrafast
UseAdvanced=true
x264Settings=keyint=20
[Video]
BaseCX=320
BaseCY=180
OutputCX=320
OutputCY=180
FPSType=1
FPSInt=20
[Audio]
SampleRate=44100
ChannelSetup=Stereo
";

/// The buttons, as files that a script removes after each press.
const BUTTONS: &str = r#"
obs = obslua
local function pressed(button)
    return os.remove(os.getenv("HOME") .. "/" .. button)
end
local function poll()
    if pressed("start") then obs.obs_frontend_streaming_start() end
    if pressed("stop") then obs.obs_frontend_streaming_stop() end
end
function script_load(settings) obs.timer_add(poll, 100) end
"#;

/// A running OBS with its screen; killed when dropped.
pub struct Obs {
    home: TempDir,
    screen: Child,
    obs: Child,
}

impl Obs {
    /// Starts it. It publishes with `key` to `server` (`rtmp://host:port/app`), like its "Custom" service.
    #[track_caller]
    pub fn publish(server: &str, key: &str) -> Self {
        let home = tempfile::Builder::new().prefix("weir-obs-").tempdir().unwrap();
        furnish(home.path(), server, key);
        let (screen, display) = screen(home.path());
        let log = File::create(home.path().join("log")).unwrap();
        let obs = Command::new(program("/usr/bin/obs"))
            .args(["--startstreaming", "--multi", "--minimize-to-tray", "--disable-missing-files-check"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path().join("run"))
            .env("DISPLAY", display)
            .env("LANG", "C.UTF-8")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { home, screen, obs }
    }

    /// Its version.
    pub fn version() -> String {
        let output = Command::new(program("/usr/bin/obs")).arg("--version").output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Returns its output so far.
    pub fn log(&self) -> String {
        files::text(&self.home.path().join("log"))
    }

    /// Returns whether it has exited.
    pub fn has_ended(&mut self) -> bool {
        self.obs.try_wait().unwrap().is_some()
    }

    /// "Start Streaming".
    #[track_caller]
    pub fn start_streaming(&self) {
        self.press("start");
    }

    /// "Stop Streaming".
    #[track_caller]
    pub fn stop_streaming(&self) {
        self.press("stop");
    }

    /// Closes the program, and waits for its end.
    #[track_caller]
    pub fn quit(mut self) -> ExitStatus {
        Process(self.obs.id() as i32).signal(Signal::SIGINT);
        wait::until("OBS ends", 15.0, || self.obs.try_wait().unwrap())
    }

    #[track_caller]
    fn press(&self, button: &str) {
        let path = self.home.path().join(button);
        File::create(&path).unwrap();
        wait::until("OBS takes the button", 10.0, || !path.exists());
    }
}

impl Drop for Obs {
    fn drop(&mut self) {
        for child in [&mut self.obs, &mut self.screen] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Everything that it would ask for.
fn furnish(home: &Path, server: &str, key: &str) {
    let config = home.join(".config/obs-studio");
    let (profile, scenes) = (config.join("basic/profiles/test"), config.join("basic/scenes"));
    for folder in [&profile, &scenes, &home.join("run")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::set_permissions(home.join("run"), Permissions::from_mode(0o700)).unwrap();
    fs::write(config.join("global.ini"), GLOBAL).unwrap();
    fs::write(profile.join("basic.ini"), PROFILE).unwrap();
    let service =
        json!({"type": "rtmp_custom", "settings": {"server": server, "key": key, "use_auth": false}});
    fs::write(profile.join("service.json"), service.to_string()).unwrap();
    let buttons = home.join("buttons.lua");
    fs::write(&buttons, BUTTONS).unwrap();
    let colour = json!({"color": 4_294_901_760_u32, "width": 320, "height": 180});
    let item = json!({"name": "colour", "id": 1, "visible": true});
    let collection = json!({
        "name": "test", "current_scene": "scene", "current_program_scene": "scene",
        "scene_order": [{"name": "scene"}],
        "sources": [
            {"id": "color_source", "versioned_id": "color_source_v3", "name": "colour", "settings": colour},
            {"id": "scene", "versioned_id": "scene", "name": "scene", "settings": {"id_counter": 1, "items": [item]}},
        ],
        "modules": {"scripts-tool": [{"path": buttons, "settings": {}}]},
    });
    fs::write(scenes.join("test.json"), collection.to_string()).unwrap();
}

/// A virtual screen and its name.
#[track_caller]
fn screen(folder: &Path) -> (Child, String) {
    let path = folder.join("display");
    let mut child = Command::new(program("/usr/bin/Xvfb"))
        .args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"])
        .stdin(Stdio::null())
        .stdout(File::create(&path).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let number = wait::until("a screen", 15.0, || {
        assert!(child.try_wait().unwrap().is_none(), "Xvfb has ended");
        files::text(&path).strip_suffix('\n').map(str::to_owned)
    });
    (child, format!(":{number}"))
}

/// Of the packages that only the long tests need.
fn program(path: &str) -> PathBuf {
    assert!(Path::new(path).exists(), "{path} is missing: run `scripts/deps.sh long`");
    PathBuf::from(path)
}
