//! A small file for the test ticket, where the mapping copies files: it goes the way of any other.
//!
//! Owns: a text that fits most rules. Never: leaves its file on our own disk. Fails: with findings; whoever refuses files
//! refuses them only. Proved by: `tests/onboarding`.

use super::codes;
use super::report::Findings;
use super::trial::{Made, Trial};
use super::way;
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::sighting::FileEntry;
use crate::servicenow::attachments::FileToAttach;

const NAME: &str = "snowgate-connection-test.txt";
const MEDIA_TYPE: &str = "text/plain";
const CONTENT: &str = "A file of the Snowgate connection test.\n";

impl Trial<'_> {
    pub(super) async fn files(&self, made: &Made, findings: &mut Findings) {
        let Some(rule) = self.mapping.attachments() else { return };
        let subject = "sys_attachment";
        let bytes = u64::try_from(CONTENT.len()).unwrap_or(u64::MAX);
        if !rule.takes(MEDIA_TYPE) || rule.bytes_max < bytes {
            findings.note(codes::UNFINISHED, subject, "the mapping copies no small text files, so none was tried");
            return;
        }
        self.desk.tell("attaching a file to it");
        match self.attach(made, bytes).await {
            Ok(file) if file.size_bytes.is_some_and(|size| size != bytes) => {
                let message =
                    format!("a file of {bytes} bytes was stored with {} bytes", file.size_bytes.unwrap_or_default());
                findings.error(codes::FILES_REFUSED, subject, message);
            }
            Ok(_) => {
                findings.note(codes::PROVED, subject, "files can be attached");
            }
            Err(outcome) if matches!(outcome.class, Class::Throttled | Class::Crowded | Class::Unauthorized) => {
                way::failed(&outcome, subject, findings);
            }
            Err(outcome) => {
                let message = format!("attaching a file is refused: {}", way::said(&outcome));
                findings.error(codes::FILES_REFUSED, subject, message);
            }
        }
    }

    async fn attach(&self, made: &Made, bytes: u64) -> Result<FileEntry, Outcome> {
        let ours =
            |error: std::io::Error| Outcome::new(Class::NotProcessed, "file_unusable").with_detail(error.to_string());
        let path = std::env::temp_dir().join(format!("{}.txt", self.keys.correlation_id));
        tokio::fs::write(&path, CONTENT).await.map_err(ours)?;
        let file = FileToAttach { name: NAME, media_type: MEDIA_TYPE, path: &path, bytes };
        let attached = match self.desk.permit().await {
            Ok(permit) => self.desk.client.upload_file(permit, (&self.needs.table, &made.sys_id), &file).await,
            Err(outcome) => Err(outcome),
        };
        // What stays is forty harmless bytes in a folder for such.
        drop(tokio::fs::remove_file(&path).await);
        attached
    }
}
