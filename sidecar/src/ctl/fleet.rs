//! `weir fleet`

use std::path::Path;

use serde_json::json;

use super::table::table;
use super::{Error, Output};
use crate::cli::fleet::{FleetCommand, FleetDownArgs, FleetPlanArgs, FleetStatusArgs, FleetUpArgs};
use crate::clock;
use crate::config::fleet::{self, Fleet};
use crate::daemon::logging;
use crate::fleet::cloud::Cloud;
use crate::fleet::error::Error as FleetError;
use crate::fleet::plan::{self, Plan};
use crate::fleet::run::Runner;
use crate::fleet::status::{self, Status};

/// Runs a fleet command; also returns whether everything is in order.
pub(super) async fn run(command: &FleetCommand) -> Result<(Output, bool), Error> {
    // The log goes to standard error. No other log can be set up yet.
    let _ = logging::to_standard_error();
    match command {
        FleetCommand::Plan(args) => plan(args).await,
        FleetCommand::Up(args) => Ok((up(args).await?, true)),
        FleetCommand::Down(args) => Ok((down(args).await?, true)),
        FleetCommand::Status(args) => status(args).await,
    }
}

fn load(path: &Path) -> Result<Fleet, Error> {
    fleet::load(path).map_err(Error::EventFile)
}

async fn plan(args: &FleetPlanArgs) -> Result<(Output, bool), Error> {
    let fleet = load(&args.file)?;
    let price = Cloud::open(&fleet).map_err(FleetError::from)?.price().await.map_err(FleetError::from)?;
    let plan = plan::plan(&fleet, price);
    let output = match args.json.json {
        true => Output::json(&serde_json::to_string(&plan).unwrap_or_default()),
        false => {
            let over = match plan.is_over(clock::now()) {
                true => "over     the event has ended: weir fleet up creates no server\n",
                false => "",
            };
            format!("{}{over}", planned(&plan)).into()
        }
    };
    Ok((output, plan.fits()))
}

fn planned(plan: &Plan) -> String {
    let last = plan.servers.last().map(String::as_str).unwrap_or_default();
    let first = plan.servers.first().map(String::as_str).unwrap_or_default();
    let (count, kind, location) = (plan.servers.len(), &plan.server_type, &plan.location);
    let fits = match plan.fits() {
        true => {
            format!("within the budget of {} EUR, which {} servers fit into", plan.budget, plan.affordable)
        }
        false => {
            format!("more than the budget of {} EUR: change budget, edges, type or the times", plan.budget)
        }
    };
    let traffic = plan.traffic.map_or_else(
        || "traffic  the provider states no price of traffic, which comes on top".to_owned(),
        |most| format!("traffic  at most {most} EUR on top, if all these servers send their whole bandwidth all the time"),
    );
    format!(
        "event    {}\nservers  {count} x {kind} in {location}: {first} to {last}\ncreate   {}\nstart    {}\nend      {}\ndelete   {} at the latest\n\
         price    {} EUR per hour and server with its address, {} EUR per server\ntotal    {} EUR, {fits}\nat most  {} EUR with all servers that autoscale may create\n{traffic}\n",
        plan.event,
        plan.create_at,
        plan.start,
        plan.end,
        plan.delete_by,
        plan.price.hourly,
        plan.each,
        plan.total,
        plan.most
    )
}

async fn up(args: &FleetUpArgs) -> Result<Output, Error> {
    let fleet = load(&args.file)?;
    let mut runner = Runner::open(fleet.clone(), &args.state.folder, &args.daemon.socket)?;
    match args.follow {
        true => runner.follow().await?,
        false => runner.up(!args.no_wait).await?,
    }
    if args.follow {
        return Ok(gone(&fleet, args.json.json));
    }
    let status = status::status(&fleet, &args.state.folder, &args.daemon.socket).await?;
    Ok(shown(&status, args.json.json))
}

async fn down(args: &FleetDownArgs) -> Result<Output, Error> {
    let fleet = load(&args.file)?;
    let mut runner = Runner::open_to_delete(fleet.clone(), &args.state.folder, &args.daemon.socket)?;
    runner.down(args.now).await?;
    Ok(gone(&fleet, args.json.json))
}

fn gone(fleet: &Fleet, is_json: bool) -> Output {
    match is_json {
        true => Output::json(&json!({ "event": fleet.event, "servers": [] }).to_string()),
        false => format!("No server of {} is left.\n", fleet.event).into(),
    }
}

async fn status(args: &FleetStatusArgs) -> Result<(Output, bool), Error> {
    let fleet = load(&args.file)?;
    let status = status::status(&fleet, &args.state.folder, &args.daemon.socket).await?;
    Ok((shown(&status, args.json.json), !status.overdue))
}

fn shown(status: &Status, is_json: bool) -> Output {
    if is_json {
        return Output::json(&serde_json::to_string(status).unwrap_or_default());
    }
    let rows: Vec<_> = status
        .servers
        .iter()
        .map(|row| {
            [
                row.name.clone(),
                row.state.clone(),
                row.address.map(|address| address.to_string()).unwrap_or_default(),
                format!("{}:{:02}", row.age_s / 3600, row.age_s / 60 % 60),
                row.cost.map(|cost| cost.to_string()).unwrap_or_default(),
                row.edge.clone().unwrap_or_default(),
                row.viewers.map(|viewers| viewers.to_string()).unwrap_or_default(),
            ]
        })
        .collect();
    let mut stdout = table(["SERVER", "STATE", "ADDRESS", "AGE", "EUR", "EDGE", "VIEWERS"], &rows);
    stdout += &match (status.cost, status.committed) {
        (Some(cost), Some(committed)) => format!(
            "{}: {cost} EUR so far, {committed} EUR until {}, budget {} EUR\n",
            status.event, status.delete_by, status.budget
        ),
        _ => format!("{}: budget {} EUR\n", status.event, status.budget),
    };
    let mut stderr = String::new();
    if status.overdue {
        stderr +=
            "weir: warning: the event is over and its servers are running: weir fleet down deletes them\n";
    }
    if let Some(why) = &status.origin_error {
        stderr += &format!("weir: warning: the origin: {why}\n");
    }
    if let Some(why) = &status.cost_error {
        stderr += &format!("weir: warning: the cost is unknown: {why}\n");
    }
    Output { stdout, stderr, if_unread: None }
}
