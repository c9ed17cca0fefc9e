//! SMBIOS tables for the firmware (SMBIOS 3.7): what the machine is called, in as few structures as the standard allows.

/// The entry point and the structures: files `etc/smbios/smbios-anchor` and `etc/smbios/smbios-tables`.
pub(crate) fn files(entry_64: bool, uuid: [u8; 16]) -> (Vec<u8>, Vec<u8>) {
    let mut tables = Vec::new();
    // §7.2 System information (type 1): manufacturer, product, version, serial number; UUID; wake-up type.
    let mut system = vec![1, 27, 0x00, 0x01, 1, 2, 3, 0];
    system.extend(uuid);
    system.extend([6, 0, 0]);
    tables.extend(system);
    tables.extend(b"testjig\0embedded machine\0pc\0\0");
    // §7.45 End of table (type 127).
    tables.extend([127, 4, 0x00, 0x7f, 0, 0]);
    let anchor = if entry_64 {
        anchor_64(tables.len())
    } else {
        anchor_32(tables.len())
    };
    (anchor, tables)
}

/// §5.2.1: 31 bytes, in two parts with a checksum each. The firmware fills in the address.
fn anchor_32(length: usize) -> Vec<u8> {
    let mut anchor = b"_SM_\0\x1f\x02\x08\x1b\0\0\0\0\0\0\0_DMI_\0".to_vec();
    anchor.extend((length as u16).to_le_bytes());
    anchor.extend([0; 4]);
    anchor.extend(2_u16.to_le_bytes());
    anchor.push(0x28);
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    anchor[0x15] = sum(&anchor[0x10..]);
    anchor[4] = sum(&anchor);
    anchor
}

/// §5.2.2: 24 bytes.
fn anchor_64(length: usize) -> Vec<u8> {
    let mut anchor = b"_SM3_\0\x18\x03\x07\0\x01\0".to_vec();
    anchor.extend((length as u32).to_le_bytes());
    anchor.extend([0; 8]);
    anchor[5] = anchor
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    anchor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_have_their_sizes_and_sum_up_to_zero() {
        for (entry_64, len) in [(false, 31), (true, 24)] {
            let (anchor, tables) = files(entry_64, [7; 16]);
            assert_eq!(anchor.len(), len);
            let sum = anchor
                .iter()
                .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            assert_eq!(sum, 0);
            assert!(tables.ends_with(&[127, 4, 0, 0x7f, 0, 0]));
        }
    }
}
