//! Devices that a board makes have no names: finding them by type.

use testjig_qmp::commands::QomList;
use testjig_vm::Vm;

/// The QOM path of the board's own device of this type; the `nth` of several, from 0, in the order in which the board made them.
///
/// # Panics
/// If the board has not so many.
#[track_caller]
pub fn board_device(vm: &Vm, kind: &str, nth: usize) -> String {
    const BOARD: &str = "/machine/unattached";
    let kind = format!("child<{kind}>");
    let mut numbers: Vec<u32> = vm
        .qmp(QomList::of(BOARD))
        .into_iter()
        .filter(|property| property.type_name == kind)
        .filter_map(|property| {
            let number = property.name.strip_prefix("device[")?.strip_suffix(']')?;
            number.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    match numbers.get(nth) {
        Some(number) => format!("{BOARD}/device[{number}]"),
        None => panic!(
            "the board has {} devices that are {kind}, not {}",
            numbers.len(),
            nth + 1
        ),
    }
}
