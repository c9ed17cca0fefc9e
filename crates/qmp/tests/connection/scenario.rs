//! One conversation that uses every command, with a live QEMU when `examples/record.rs` records it and with the record when
//! the tests play it back.

use std::fs::File;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testjig_qmp::commands::{
    AddFd, BlockdevAdd, BlockdevDel, Cont, DeviceAdd, DeviceDel, DeviceListProperties, NetdevAdd,
    NetdevDel, ObjectAdd, ObjectDel, QomGet, QomList, QomListTypes, QomSet,
    QueryCommandLineOptions, QueryCpusFast, QueryMachines, QueryQmpSchema, QueryStatus,
    QueryTarget, QueryVersion, Quit, RemoveFd, RunState, Stop, SystemPowerdown, SystemReset,
};
use testjig_qmp::events::{DeviceDeleted, Shutdown};
use testjig_qmp::{Error, ErrorClass, ErrorKind, Event, MetaType, Qmp};

fn later() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn refused(error: &Error) -> ErrorClass {
    error
        .refusal()
        .unwrap_or_else(|| panic!("not refused: {error}"))
        .class
        .clone()
}

/// Goes through all of it, to the end of the peer.
pub(crate) fn converse(mut qmp: Qmp) {
    types(&mut qmp);
    objects(&mut qmp);
    schema(&mut qmp);
    running(&mut qmp);
    hotplug(&mut qmp);

    qmp.execute(&Quit).expect("quit");
    let shutdown: Shutdown = qmp
        .wait_event("SHUTDOWN", later())
        .expect("SHUTDOWN")
        .decode()
        .expect("its data");
    assert!(!shutdown.guest);
    assert_eq!(shutdown.reason, "host-qmp-quit");
    let error = qmp.wait_event("none", later()).expect_err("QEMU ends");
    assert!(
        matches!(error.kind(), ErrorKind::Closed { partial: None, .. }),
        "{error}"
    );
}

fn types(qmp: &mut Qmp) {
    assert_eq!(
        qmp.execute(&QueryVersion).expect("query-version"),
        qmp.greeting().version
    );
    assert_eq!(
        qmp.execute(&QueryTarget).expect("query-target").arch,
        "x86_64"
    );

    let machines = qmp.execute(&QueryMachines).expect("query-machines");
    let q35 = machines
        .iter()
        .find(|machine| machine.alias.as_deref() == Some("q35"))
        .expect("the machine type");
    assert!(q35.name.starts_with("pc-q35-"), "{}", q35.name);
    assert!(q35.hotpluggable_cpus && !q35.is_default && !q35.deprecated);
    assert_eq!(q35.default_ram_id.as_deref(), Some("pc.ram"));
    assert_eq!(q35.default_cpu_type.as_deref(), Some("qemu64-x86_64-cpu"));
    assert_eq!(q35.acpi, (qmp.greeting().version.major > 7).then_some(true));
    assert!(machines.iter().any(|machine| machine.is_default));
    let none = machines
        .iter()
        .find(|machine| machine.name == "none")
        .expect("the machine without anything");
    assert_eq!(none.default_ram_id.as_deref(), Some("ram"));

    let devices = qmp
        .execute(&QomListTypes::implementing("device"))
        .expect("qom-list-types");
    let exit = devices
        .iter()
        .find(|device| device.name == "isa-debug-exit")
        .expect("the device type");
    assert_eq!(exit.parent.as_deref(), Some("isa-device"));
    assert!(!exit.r#abstract);
    let all = qmp
        .execute(&QomListTypes::all().with_abstract())
        .expect("qom-list-types");
    assert!(
        all.iter()
            .any(|object| object.name == "isa-device" && object.r#abstract)
    );

    let properties = qmp
        .execute(&DeviceListProperties::of("isa-debug-exit"))
        .expect("device-list-properties");
    let iobase = properties
        .iter()
        .find(|property| property.name == "iobase")
        .expect("the property");
    assert_eq!(iobase.type_name, "uint32");
    assert_eq!(iobase.default_value, Some(json!(0x501)));
    let error = qmp
        .execute(&DeviceListProperties::of("no-such-device"))
        .expect_err("there is none");
    assert_eq!(refused(&error), ErrorClass::DeviceNotFound);

    let options = qmp
        .execute(&QueryCommandLineOptions::of("memory"))
        .expect("query-command-line-options");
    assert_eq!(options[0].option, "memory");
    assert!(
        options[0]
            .parameters
            .iter()
            .any(|parameter| parameter.name == "size" && parameter.type_name == "size")
    );
    let options = qmp
        .execute(&QueryCommandLineOptions::all())
        .expect("query-command-line-options");
    assert!(options.iter().any(|option| option.option == "memory"));
}

fn objects(qmp: &mut Qmp) {
    let cpus = qmp.execute(&QueryCpusFast).expect("query-cpus-fast");
    assert_eq!(
        (cpus.len(), cpus[0].cpu_index, cpus[0].target.as_str()),
        (1, 0, "x86_64")
    );
    assert!(
        cpus[0].qom_path.starts_with("/machine/"),
        "{}",
        cpus[0].qom_path
    );

    let properties = qmp.execute(&QomList::of("/machine")).expect("qom-list");
    assert!(
        properties
            .iter()
            .any(|property| property.name == "peripheral"
                && property.type_name == "child<container>")
    );
    let machine = qmp
        .execute(&QomGet::new("/machine", "type"))
        .expect("qom-get");
    assert!(
        machine
            .as_str()
            .is_some_and(|name| name.ends_with("-machine")),
        "{machine}"
    );
    qmp.execute(&QomSet::new("/machine", "graphics", false))
        .expect("qom-set");
    assert_eq!(
        qmp.execute(&QomGet::new("/machine", "graphics"))
            .expect("qom-get"),
        json!(false)
    );
    let error = qmp
        .execute(&QomSet::new("/machine", "type", "other"))
        .expect_err("it can't be set");
    assert_eq!(refused(&error), ErrorClass::GenericError);
    let error = qmp
        .execute(&QomGet::new("/é😀\u{1}\"", "type"))
        .expect_err("there is no such object");
    assert_eq!(refused(&error), ErrorClass::DeviceNotFound);
    assert!(
        error
            .refusal()
            .expect("it is refused")
            .desc
            .contains("/é😀\u{1}\""),
        "{error}"
    );

    let error = qmp
        .execute_raw("no-such-command", Value::Null)
        .expect_err("there is none");
    assert_eq!(refused(&error), ErrorClass::CommandNotFound);
    assert_eq!(error.command(), Some("no-such-command"));
    assert_eq!(
        qmp.execute_raw("query-name", Value::Null)
            .expect("query-name"),
        json!({})
    );
    assert_eq!(
        qmp.hmp("info status").expect("hmp"),
        "VM status: paused (prelaunch)\r\n"
    );
    assert_eq!(
        qmp.hmp("nonsense").expect("hmp"),
        "unknown command: 'nonsense'\r\n"
    );
}

fn schema(qmp: &mut Qmp) {
    let schema = qmp.execute(&QueryQmpSchema).expect("query-qmp-schema");
    assert!(
        schema.has_command("device_add")
            && !schema.has_command("RESET")
            && !schema.has_command("no-such-command")
    );
    assert!(schema.has_event("RESET") && !schema.has_event("device_add"));
    assert_eq!(
        schema.entity("RESET").expect("the event").meta_type,
        MetaType::Event
    );
    let id = schema.argument("device_add", "id").expect("the argument");
    assert_eq!(id.type_name.as_deref(), Some("str"));
    assert_eq!(id.default, Some(Value::Null), "it may be left out");
    assert_eq!(
        schema
            .argument("device_add", "driver")
            .expect("the argument")
            .default,
        None
    );
    let mut objects = schema
        .values("object-add", "qom-type")
        .expect("it is an enumeration");
    assert!(objects.any(|name| name == "memory-backend-memfd"));
    let has_monitor_object = schema
        .values("object-add", "qom-type")
        .is_some_and(|mut names| names.any(|name| name == "monitor-qmp"));
    assert_eq!(has_monitor_object, qmp.greeting().version.major >= 11);
    assert!(
        schema.values("device_add", "driver").is_none(),
        "it is any string"
    );
}

fn running(qmp: &mut Qmp) {
    let status = qmp.execute(&QueryStatus).expect("query-status");
    assert_eq!(
        (status.running, status.status),
        (false, RunState::Prelaunch)
    );
    qmp.execute(&Cont).expect("cont");
    qmp.wait_event("RESUME", later()).expect("RESUME");
    let status = qmp.execute(&QueryStatus).expect("query-status");
    assert_eq!((status.running, status.status), (true, RunState::Running));

    let from = qmp.next_event_seq();
    qmp.execute(&SystemReset).expect("system_reset");
    let reset = qmp
        .wait_event(
            |event: &Event| event.name() == "RESET" && event.seq() >= from,
            later(),
        )
        .expect("RESET");
    assert_eq!(
        reset.decode::<Shutdown>().expect("its data").reason,
        "host-qmp-system-reset"
    );
    qmp.execute(&SystemPowerdown).expect("system_powerdown");
    assert!(
        qmp.wait_event("POWERDOWN", later())
            .expect("POWERDOWN")
            .data()
            .is_null()
    );

    qmp.execute(&Stop).expect("stop");
    let stop = qmp.wait_event("STOP", later()).expect("STOP");
    assert!(
        stop.timestamp().seconds > 1_700_000_000
            && (0..1_000_000).contains(&stop.timestamp().microseconds)
    );
    let status = qmp.execute(&QueryStatus).expect("query-status");
    assert_eq!((status.running, status.status), (false, RunState::Paused));
}

fn hotplug(qmp: &mut Qmp) {
    qmp.execute(&ObjectAdd::new("memory-backend-ram", "ram0").prop("size", 1 << 20))
        .expect("object-add");
    qmp.execute(&ObjectDel::new("ram0")).expect("object-del");
    let disk = File::open("/dev/zero").expect("the host has it");
    let added = qmp
        .execute_with_fd(&AddFd::to_set(7), &disk)
        .expect("add-fd");
    assert_eq!(added.fdset_id, 7);
    let also_added = qmp
        .execute_with_fd(&AddFd::to_new_set(), &disk)
        .expect("add-fd");
    assert_ne!(
        (also_added.fdset_id, also_added.fd),
        (added.fdset_id, added.fd)
    );
    qmp.execute(&RemoveFd::set(also_added.fdset_id))
        .expect("remove-fd");
    let error = qmp
        .execute(&RemoveFd::set(99))
        .expect_err("there is no such set");
    assert_eq!(refused(&error), ErrorClass::GenericError);
    let error = qmp
        .execute(&AddFd::to_set(7))
        .expect_err("there is no descriptor");
    assert_eq!(refused(&error), ErrorClass::GenericError);
    qmp.execute(&BlockdevAdd::new("null-co", "disk0").prop("size", 1 << 20))
        .expect("blockdev-add");
    let error = qmp
        .execute(&BlockdevAdd::new("null-co", "disk0"))
        .expect_err("the name is taken");
    assert_eq!(error.command(), Some("blockdev-add"));
    qmp.execute(&NetdevAdd::new("hubport", "net0").prop("hubid", 0))
        .expect("netdev_add");

    let nic = DeviceAdd::new("virtio-net-pci")
        .id("nic0")
        .bus("port0")
        .prop("netdev", "net0");
    qmp.execute(&nic).expect("device_add");
    assert_eq!(
        qmp.execute(&QomGet::new("/machine/peripheral/nic0", "hotplugged"))
            .expect("qom-get"),
        json!(true)
    );
    let error = qmp.execute(&nic).expect_err("the id is taken");
    assert_eq!(error.command(), Some("device_add"));
    let error = qmp
        .execute(&DeviceDel::new("no-such-device"))
        .expect_err("there is none");
    assert_eq!(refused(&error), ErrorClass::DeviceNotFound);

    // No guest agrees: the reset lets go of the device.
    qmp.execute(&DeviceDel::new("nic0")).expect("device_del");
    qmp.execute(&SystemReset).expect("system_reset");
    let nic_deleted =
        |event: &Event| event.name() == "DEVICE_DELETED" && event.data()["device"] == "nic0";
    let deleted = qmp
        .wait_event(("DEVICE_DELETED of nic0", nic_deleted), later())
        .expect("DEVICE_DELETED");
    assert_eq!(
        deleted.decode::<DeviceDeleted>().expect("its data").path,
        "/machine/peripheral/nic0"
    );
    let backend: DeviceDeleted = qmp
        .wait_event("DEVICE_DELETED", later())
        .expect("DEVICE_DELETED")
        .decode()
        .expect("its data");
    assert_eq!(backend.device, None);
    assert_eq!(backend.path, "/machine/peripheral/nic0/virtio-backend");
    qmp.wait_event("RESET", later()).expect("RESET");

    qmp.execute(&NetdevDel::new("net0")).expect("netdev_del");
    qmp.execute(&BlockdevDel::new("disk0"))
        .expect("blockdev-del");
}
