//! What somebody without a session can make the broker do, and what others on the machine can see.

use std::os::unix::fs::PermissionsExt as _;

use crate::broker::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_everybody_may_look_into_holds_nothing_that_others_may_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let broker = Broker::wishes().set("data_dir", data.display().to_string()).start().await;
    assert!(!broker.events().await.is_empty(), "keys were made, and recorded");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    assert!(names.iter().any(|name| name == "rolegate.db") && names.iter().any(|name| name == "sealing.key"));
}
