//! `weir admin ...`: changes the file of the accounts. The daemon applies each change at its next request.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write, stdout};
use std::path::{Path, PathBuf};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;
use weir_model::Secret;

use super::table::table;
use super::{Error, Output, limits, link};
use crate::admin::accounts::{self, Role, Store};
use crate::admin::password;
use crate::admin::totp::Key;
use crate::cli::admin::{
    AdminAddArgs, AdminCommand, AdminListArgs, AdminRemoveArgs, AdminSetupLinkArgs, AdminTotpArgs, AdminsArg,
};
use crate::clock;
use crate::config;
use crate::config::web::{DEFAULT_ADMINS, Web};

/// Maximum validity of a setup link, in seconds, so that a forgotten link expires.
const MAX_TTL_S: u64 = 7 * 24 * 3600;

pub(super) fn run(command: &AdminCommand) -> Result<Output, Error> {
    match command {
        AdminCommand::Add(args) => add(args),
        AdminCommand::List(args) => list(args),
        AdminCommand::Remove(args) => remove(args),
        AdminCommand::Totp(args) => totp(args),
        AdminCommand::SetupLink(args) => setup_link(args),
    }
}

fn add(args: &AdminAddArgs) -> Result<Output, Error> {
    let store = store(&args.admins)?;
    let is_known = store.accounts()?.find(args.name.as_str()).is_some();
    let password = ask_for_password()?;
    store.put(&args.name, args.role, &password)?;
    let role = store.accounts()?.find(args.name.as_str()).map_or(Role::Admin, |account| account.role).word();
    let name = args.name.as_str();
    if args.json.json {
        return Ok(Output::json(&json!({ "name": name, "role": role, "new": !is_known }).to_string()));
    }
    Ok(match is_known {
        true => format!("{name} ({role}) has a new password; all sessions of the account have ended.\n"),
        false => format!("Created the account {name}, role: {role}.\n"),
    }
    .into())
}

fn list(args: &AdminListArgs) -> Result<Output, Error> {
    let file = file(&args.admins)?;
    let known = Store::new(&file).accounts()?;
    let accounts = &known.accounts;
    if args.json.json {
        let all: Vec<_> = accounts
            .iter()
            .map(|account| {
                json!({
                    "name": account.name,
                    "role": account.role,
                    "changed_at": account.changed_at,
                    "totp": account.totp.is_some(),
                })
            })
            .collect();
        return Ok(Output::json(&json!({ "accounts": all }).to_string()));
    }
    let rows: Vec<[String; 4]> = accounts
        .iter()
        .map(|account| {
            let totp = if account.totp.is_some() { "on" } else { "off" };
            let (name, role) = (account.name.as_str(), account.role.word());
            [name.to_owned(), role.to_owned(), account.changed_at.to_string(), totp.to_owned()]
        })
        .collect();
    if rows.is_empty() {
        let stderr = format!(
            "There is no account in {}: weir admin add NAME{} creates one.\n",
            file.display(),
            with_config(&args.admins)
        );
        return Ok(Output { stderr, ..Output::default() });
    }
    Ok(table(["NAME", "ROLE", "PASSWORD SET", "TOTP"], &rows).into())
}

fn remove(args: &AdminRemoveArgs) -> Result<Output, Error> {
    let store = store(&args.admins)?;
    store.remove(&args.name)?;
    let name = args.name.as_str();
    if args.json.json {
        return Ok(Output::json(&json!({ "name": name }).to_string()));
    }
    let stderr = match store.accounts()?.has_admin() {
        true => String::new(),
        false => format!(
            "No administrator is left: weir admin add NAME{} creates one.\n",
            with_config(&args.admins)
        ),
    };
    let stdout = format!("Removed the account {name}; all its sessions have ended.\n");
    Ok(Output { stdout, stderr, ..Output::default() })
}

fn totp(args: &AdminTotpArgs) -> Result<Output, Error> {
    let (store, name) = (store(&args.admins)?, args.name.as_str());
    let key = match args.off {
        true => None,
        false => Some(Key::new().map_err(accounts::Error::Random)?),
    };
    store.set_totp(&args.name, key.clone())?;
    let Some(key) = key else {
        return Ok(match args.json.json {
            true => Output::json(&json!({ "name": name, "totp": false }).to_string()),
            false => {
                format!("{name} logs in with the password alone; all sessions of the account have ended.\n")
                    .into()
            }
        });
    };
    let brand = web(&args.admins)?.and_then(|web| web.brand.name);
    let uri = key.uri(brand.as_deref().unwrap_or("Weir"), &args.name);
    let if_unread = Some("; nobody read the code: run the command again".to_owned());
    if args.json.json {
        let text = json!({ "name": name, "totp": true, "secret": key.base32(), "uri": uri }).to_string();
        return Ok(Output { if_unread, ..Output::json(&text) });
    }
    let picture = if stdout().is_terminal() { link::code(&uri) } else { String::new() };
    let stderr = format!(
        "Scan the code with an authenticator app, or type the secret. From now on {name} needs the app to log in; all sessions of the \
         account have ended. Without the phone: weir admin totp {name} --off{}\n",
        with_config(&args.admins)
    );
    Ok(Output { stdout: format!("secret  {}\nuri     {uri}\n{picture}", key.base32()), stderr, if_unread })
}

fn setup_link(args: &AdminSetupLinkArgs) -> Result<Output, Error> {
    limits::check_at_most("--ttl", Some(args.ttl), MAX_TTL_S)?;
    let web = web(&args.admins)?;
    let place = match (&args.url, &web) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(web)) => web.own_url(),
        (None, None) => "http://127.0.0.1:8090".into(),
    };
    let expires_at = clock::now().plus_seconds(args.ttl.seconds());
    let token = store(&args.admins)?.make_link(expires_at)?;
    let link = format!("{place}/admin/#setup={}", token.expose());
    let if_unread = Some("; nobody read the link: run the command again".to_owned());
    if args.json.json {
        let text = json!({ "link": link, "expires_at": expires_at }).to_string();
        return Ok(Output { if_unread, ..Output::json(&text) });
    }
    let stderr = format!("The link works once, until {expires_at}.\n");
    Ok(Output { stdout: format!("{link}\n"), stderr, if_unread })
}

/// Returns `[web]` of the configuration; `None` if no file was named and the default file does not exist.
fn web(args: &AdminsArg) -> Result<Option<Web>, Error> {
    let file = match &args.config {
        Some(file) => file.as_path(),
        None if Path::new(config::DEFAULT_PATH).exists() => Path::new(config::DEFAULT_PATH),
        None => return Ok(None),
    };
    Ok(Some(config::load(file)?.web))
}

/// Returns the file of the accounts.
fn file(args: &AdminsArg) -> Result<PathBuf, Error> {
    Ok(web(args)?.map_or_else(|| DEFAULT_ADMINS.into(), |web| web.admins_file))
}

fn store(args: &AdminsArg) -> Result<Store, Error> {
    Ok(Store::new(&file(args)?))
}

/// Returns the option for another command about the same accounts.
fn with_config(args: &AdminsArg) -> String {
    args.config.as_ref().map(|file| format!(" --config {}", file.display())).unwrap_or_default()
}

/// Reads the password: the first line of standard input, or a prompt without echo at a terminal.
fn ask_for_password() -> Result<Secret, Error> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return read_password(input.lock());
    }
    let _ = write!(std::io::stderr(), "Password (at least {} characters): ", password::LEAST);
    let shown = tcgetattr(&input).map_err(|error| Error::Input(error.to_string()))?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let set = |modes| tcsetattr(&input, OptionalActions::Flush, modes);
    set(&hidden).map_err(|error| Error::Input(error.to_string()))?;
    let read = read_password(input.lock());
    let _ = set(&shown);
    let _ = writeln!(std::io::stderr());
    read
}

fn read_password(input: impl Read) -> Result<Secret, Error> {
    let mut text = String::new();
    let most = password::MOST as u64 + 2;
    BufReader::new(input.take(most)).read_line(&mut text).map_err(|e| Error::Input(e.to_string()))?;
    let password = Secret::new(text.trim_end_matches(['\n', '\r']));
    if password.expose().is_empty() {
        return Err(Error::Input("no password; pass one as in `weir admin add ana < password.txt`".into()));
    }
    password::check(&password).map_err(accounts::Error::from)?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::JsonArg;

    #[test]
    fn an_empty_list_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (config, accounts) = (folder.path().join("weir.toml"), folder.path().join("admins"));
        std::fs::write(&config, format!("[web]\nadmins_file = {accounts:?}\n")).unwrap();
        let admins = AdminsArg { config: Some(config.clone()) };
        let list = list(&AdminListArgs { admins, json: JsonArg { json: false } }).unwrap();
        let expected = format!(
            "There is no account in {}: weir admin add NAME --config {} creates one.\n",
            accounts.display(),
            config.display()
        );
        assert_eq!(list.stderr, expected);
    }

    #[test]
    fn a_password_is_the_first_line() {
        assert_eq!(read_password(&b"correct horse\r\nother"[..]).unwrap().expose(), "correct horse");
        for bad in [&b""[..], b"\n", b"short", b"\xff\xff\xff\xff\xff\xff\xff\xff", &[b'x'; 2000]] {
            assert!(read_password(bad).is_err(), "{bad:?}");
        }
    }
}
