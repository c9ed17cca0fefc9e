//! Which controller it is.

use super::*;
use testjig::qos::dev::i82078::{Iso, PartId, Version};

/// [Version] 90H: the enhanced controllers, from the 82077 on.
#[testjig::test(on = I82078)]
fn the_version_is_that_of_an_enhanced_controller(fdc: I82078) {
    assert_eq!(fdc.run(Version), 0x90);
}

/// [Part ID] Bits 7:5 are 2 for the S82078B; the stepping is in the others.
#[testjig::test(on = I82078)]
fn the_part_is_an_s82078b(fdc: I82078) {
    assert_eq!(fdc.run(PartId), 0x41);
}

/// [Option] One parameter and no result.
#[testjig::test(on = I82078, vary(iso = [false, true]))]
fn the_option_command_has_no_result(fdc: I82078, iso: bool) {
    fdc.run(Iso(iso));
    assert_eq!(fdc.run(Version), 0x90);
}
