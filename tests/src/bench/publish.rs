//! The waits of a publisher: the answer to `publish`, and before it the connection.

use std::time::Duration;

use super::client::{Acknowledge, Timing, publish as publish_once};
use super::servers::Server;
use super::table::{Arm, Table, Target, median};

/// From `publish` to `NetStream.Publish.Start`, at times when the server's data has left the processor's caches.
pub(super) fn publish() -> Table {
    compare(1)
}

/// The same when all encoders reconnect simultaneously.
pub(super) fn burst() -> Table {
    compare(50)
}

fn compare(turn: usize) -> Table {
    let servers = vec![
        Server::stock("nginx-rtmp alone"),
        Server::stock("nginx-rtmp alone, once more"),
        Server::weir(),
        Server::on_publish(),
        Server::weir_off(),
    ];
    let plan = Plan { warm_up: 100, rounds: 9, each: 100, turn, acknowledge: Acknowledge::AtOnce };
    let arms = plan.run(servers, |timing| timing.publish);
    let targets = vec![
        Target::AtMost { ours: 2, peer: 0, ratio: 1.05 },
        Target::AtMost { ours: 2, peer: 3, ratio: 0.2 },
    ];
    Table { arms, targets }
}

/// Handshake to the answer to `createStream`.
pub(super) fn connect() -> Table {
    let servers =
        vec![Server::stock("nginx-rtmp alone"), Server::stock("nginx-rtmp alone, once more"), Server::weir()];
    let plan = Plan { warm_up: 10, rounds: 7, each: 20, turn: 1, acknowledge: Acknowledge::Usually };
    let arms = plan.run(servers, |timing| timing.connect);
    Table { arms, targets: vec![Target::AtMost { ours: 2, peer: 0, ratio: 0.01 }] }
}

pub(super) struct Plan {
    /// Publishes before the first round, each server.
    warm_up: usize,
    rounds: usize,
    /// Publishes per round, for each server.
    each: usize,
    /// Publishes before the turn of the next server.
    turn: usize,
    acknowledge: Acknowledge,
}

impl Plan {
    /// Fewer rounds.
    pub(super) fn quick(turn: usize) -> Plan {
        Plan { warm_up: 100, rounds: 7, each: 100, turn, acknowledge: Acknowledge::AtOnce }
    }

    /// The servers take turns, in another order each time. Servers are on one core, the load on another.
    pub(super) fn run(&self, mut servers: Vec<Server>, value: fn(Timing) -> Duration) -> Vec<Arm> {
        super::part(servers.iter().flat_map(Server::all));
        self.round(&mut servers, self.warm_up, value);
        let mut arms: Vec<Arm> = servers.iter().map(|server| Arm::new(server.name)).collect();
        for _ in 0..self.rounds {
            let values = self.round(&mut servers, self.each, value);
            for (arm, values) in arms.iter_mut().zip(values) {
                arm.rounds.push(median(&values));
                arm.all.extend(values);
            }
        }
        arms
    }

    /// Returns the microseconds of each publish, by server.
    fn round(&self, servers: &mut [Server], each: usize, value: fn(Timing) -> Duration) -> Vec<Vec<f64>> {
        let mut values = vec![Vec::new(); servers.len()];
        for nth in 0..each / self.turn {
            for step in 0..servers.len() {
                let at = (nth + step) % servers.len();
                let server = &mut servers[at];
                for _ in 0..self.turn {
                    let timing = publish_once(server.nginx.rtmp(), &server.next_name(), self.acknowledge);
                    values[at].push(value(timing).as_secs_f64() * 1e6);
                }
            }
        }
        values
    }
}
