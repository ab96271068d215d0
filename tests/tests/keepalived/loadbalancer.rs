//! Of two load balancers, the second one gets the address when nginx of the first one is gone, and the preferred one takes it back.

use weir_tests::harness::nginx::Config;

use crate::alone;
use crate::pair::Pair;

#[test]
fn the_preferred_machine_takes_the_address_back() {
    let _alone = alone();
    let mut pair = Pair::start("loadbalancer", |text| text, Config::stock);
    let silent = pair.machines[0].silence_nginx();
    pair.wait_change(0);
    drop(silent);
    pair.wait_answer("a", 15.0);
    let drain = pair.machines[0].scripts.path("drain");
    std::fs::write(&drain, "-100\n").unwrap();
    pair.wait_answer("b", 10.0);
    // keepalived of b ends: a drained machine with the address is better than none.
    pair.machines.pop();
    pair.wait_answer("a", 10.0);
}
