//! A first sync writes everything, and a second one nothing.

use crate::harness::World;

#[test]
fn a_first_sync_writes_all_and_a_second_one_nothing() {
    let world = World::new(1200, 150, 130).migrated();
    let first = world.sync_json(&["all"], 0);
    assert_eq!(first["status"], "completed");
    assert_eq!(first["results"]["customers"]["inserted"], 1200);
    assert_eq!(first["results"]["appointments"]["inserted"], 150);
    assert_eq!(first["results"]["orders"]["inserted"], world.sim.orders().len());
    let second = world.sync_json(&["all"], 0);
    for table in ["customers", "appointments", "orders"] {
        assert_eq!(second["results"][table]["inserted"], 0);
        assert_eq!(second["results"][table]["updated"], 0);
        assert_eq!(second["results"][table]["unchanged"], first["results"][table]["inserted"]);
    }
}
