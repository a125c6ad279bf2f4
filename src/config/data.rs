//! `[database]`: where what must not be lost is kept.

use std::path::{Path, PathBuf};

use super::reader::Reader;
use super::setting::Setting;

pub(super) static SETTINGS: &[&Setting] = &[&URL];
static URL: Setting = Setting::computed("database.url", "rolegate.db in data_dir");

/// The database this process opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// One file; made when it is not there.
    Sqlite(PathBuf),
}

pub(super) fn read(reader: &mut Reader, data_dir: &Path) -> Database {
    let base = reader.base_of(&URL);
    reader.computed(
        &URL,
        |text| match text.split_once(':') {
            Some(("sqlite", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() || path.contains(['?', '#']) {
                    Err("write sqlite: and the path of a file, such as sqlite:/var/lib/rolegate/rolegate.db".to_owned())
                } else {
                    Ok(Database::Sqlite(base.join(path)))
                }
            }
            Some(("postgres" | "postgresql", _)) => {
                Err("PostgreSQL is not supported in this version; write sqlite: and the path of a file".to_owned())
            }
            _ => Err("write sqlite: and the path of a file, such as sqlite:/var/lib/rolegate/rolegate.db".to_owned()),
        },
        || {
            let path = data_dir.join("rolegate.db");
            let text = format!("sqlite:{}", path.display());
            (Database::Sqlite(path), text)
        },
    )
}
