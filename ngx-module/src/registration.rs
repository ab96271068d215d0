//! A worker's row in the zone, and its sockets for other workers.

use ngx_rtmp::{
    interworker, local,
    log::{self, Level},
    timer, wake,
};
use weir_model::server::ServerBlock;
use weir_zone::{Door, MAX_DOORS};

use crate::{
    process,
    runtime::{self, Runtime},
    weir::Weir,
};

local! {
    /// Whether the zone had no row for this worker, and a log line has reported it.
    static IS_ROWLESS: bool = false;
}

/// Makes sure that this process has its row and its tick. Returns whether Weir is on. A single process that reloads does not start workers
/// again, so this runs with every connection.
pub fn ensure_started() -> bool {
    let Some(runtime) = runtime::current() else { return false };
    if runtime.worker().is_none() && process::serves() {
        register(&runtime);
        timer::start_tick::<Weir>();
        wake::listen::<Weir>();
    }
    true
}

fn register(runtime: &Runtime) {
    let registered =
        runtime.zone().lock(process::pid()).register(process::pid(), process::now(), process::alive);
    match registered {
        Ok(worker) => {
            runtime.set_worker(worker);
            if process::is_worker() {
                runtime.zone().set_master(worker, process::parent());
            }
            if runtime.auto_push && process::is_worker() {
                runtime.zone().set_doors(worker, &doors(&runtime.servers));
            }
        }
        // The worker tries again with each connection and each second.
        Err(error) => {
            if !IS_ROWLESS.with(|is_rowless| std::mem::replace(is_rowless, true)) {
                log::cycle(Level::Critical, format_args!("weir: no row for this worker: {error}"));
            }
        }
    }
}

/// Opens the worker's sockets for other workers, one per `server` block. The first address of each block comes first, so that each block is
/// listed as long as the list has capacity.
fn doors(servers: &[ServerBlock]) -> Vec<Door> {
    let (mut first, mut others) = (Vec::new(), Vec::new());
    for (name, block) in interworker::open(MAX_DOORS).into_iter().zip(servers) {
        first.push(Door::new(name, block.server.first()));
        others.extend(block.server.addresses().iter().skip(1).map(|addr| Door::new(name, Some(addr))));
    }
    first.extend(others);
    first.truncate(MAX_DOORS);
    first
}
