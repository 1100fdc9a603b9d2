//! Following a chain of rows: the first thing wrong with it, or the head it reaches.
//!
//! Never: reads rows from anywhere. Fails: with [`Break`]. Proved by: the tests here.

use super::{AuditAction, AuditHead, AuditRow, Hash, hex};

/// The first thing wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// Rows are missing, or stand twice.
    #[error("row {expected} is missing: row {found} comes in its place")]
    Missing {
        /// What should have come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The row, or the one before it, is not what was written.
    #[error("row {0} is not what was written, or does not follow from the row before it")]
    Changed(u64),
    /// The rows end before the head.
    #[error("the log ends at row {found}, its head is row {head}")]
    Short {
        /// The last row read.
        found: u64,
        /// The head that was told.
        head: u64,
    },
    /// Where the log begins is not what was signed off when its older rows were removed.
    #[error("no row signs off that the log begins after row {0}")]
    Anchor(u64),
    /// The checkpoint is nowhere in the chain.
    #[error("the checkpoint is not in the log: rows were cut off or rewritten since it was noted")]
    Checkpoint,
}

/// Follows a chain row by row, oldest first.
#[derive(Clone, Debug)]
pub struct Checked {
    at: AuditHead,
    anchor: AuditHead,
    signed_off: bool,
    expected: Option<Hash>,
    found: Option<u64>,
}

impl Checked {
    /// Begins behind an anchor.
    pub const fn from(anchor: AuditHead) -> Self {
        Self { at: anchor, anchor, signed_off: anchor.sequence == 0, expected: None, found: None }
    }

    /// Also looks for a checkpoint: the hash of a head that somebody noted.
    #[must_use]
    pub fn expect(mut self, checkpoint: Option<Hash>) -> Self {
        self.found = checkpoint.filter(|hash| *hash == self.anchor.hash).map(|_| self.anchor.sequence);
        self.expected = checkpoint;
        self
    }

    /// The next row.
    pub fn follow(&mut self, row: &AuditRow) -> Result<(), Break> {
        let expected = self.at.sequence + 1;
        if row.sequence != expected {
            return Err(Break::Missing { expected, found: row.sequence });
        }
        let hash = row.hash_after(&self.at.hash);
        if row.hash_bytes() != Some(hash) {
            return Err(Break::Changed(row.sequence));
        }
        self.at = AuditHead { sequence: row.sequence, hash };
        if self.expected == Some(hash) {
            self.found = Some(row.sequence);
        }
        let is_anchors = row.target == self.anchor.sequence.to_string() && row.after == hex(&self.anchor.hash);
        self.signed_off |= row.action == AuditAction::Trimmed.as_str() && is_anchors;
        Ok(())
    }

    /// The end: the head reached, and the row of the checkpoint, if one was asked for.
    pub fn end(self, head: AuditHead) -> Result<(AuditHead, Option<u64>), Break> {
        if self.at != head {
            return Err(Break::Short { found: self.at.sequence, head: head.sequence });
        }
        if !self.signed_off {
            return Err(Break::Anchor(self.anchor.sequence));
        }
        if self.expected.is_some() && self.found.is_none() {
            return Err(Break::Checkpoint);
        }
        Ok((self.at, self.found))
    }

    /// The row reached.
    pub const fn reached(&self) -> AuditHead {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::super::{Actor, AuditEntry};
    use super::*;
    use crate::domain::time::Timestamp;

    fn rows(count: u64) -> Vec<AuditRow> {
        let mut head = AuditHead::default();
        let row = |number: u64| {
            let entry = AuditEntry::new(Actor::gateway(), AuditAction::Paused).to(format!("t{number}"));
            let row = AuditRow::after(&head, Timestamp::from_millis(1_000), &entry);
            head = AuditHead { sequence: row.sequence, hash: row.hash_bytes().unwrap() };
            row
        };
        (1..=count).map(row).collect()
    }

    fn verify(rows: &[AuditRow], head: &AuditRow, checkpoint: Option<Hash>) -> Result<Option<u64>, Break> {
        let mut checked = Checked::from(AuditHead::default()).expect(checkpoint);
        rows.iter().try_for_each(|row| checked.follow(row))?;
        checked.end(AuditHead { sequence: head.sequence, hash: head.hash_bytes().unwrap() }).map(|(_, found)| found)
    }

    #[test]
    fn the_canonical_form_is_the_documented_one() {
        let row = rows(1).remove(0);
        let canonical = "1:1,24:1970-01-01T00:00:01.000Z,7:gateway,7:gateway,0:,6:paused,2:t1,0:,0:,0:,0:,0:,";
        let hash: Hash = Sha256::new().chain_update([0; 32]).chain_update(canonical).finalize().into();
        assert_eq!(row.hash, hex(&hash));
    }

    #[test]
    fn every_change_to_any_row_is_found_at_that_row() {
        let whole = rows(5);
        assert_eq!(verify(&whole, &whole[4], None), Ok(None));
        let spoil: [fn(&mut AuditRow); 11] = [
            |row| row.at.push('0'),
            |row| row.who.push('x'),
            |row| row.role.clear(),
            |row| row.tenant.push('x'),
            |row| row.action = "dropped".to_owned(),
            |row| row.target.clear(),
            |row| row.before.push('0'),
            |row| row.after.push('0'),
            |row| row.source.push('1'),
            |row| row.request.push('1'),
            // What moves from one text to its neighbour moves the hash as well.
            |row| row.note = std::mem::take(&mut row.target),
        ];
        for at in 0..5 {
            for spoil in spoil {
                let mut spoiled = whole.clone();
                spoil(&mut spoiled[at]);
                assert_eq!(verify(&spoiled, &whole[4], None), Err(Break::Changed(at as u64 + 1)));
            }
            let mut gap = whole.clone();
            gap.remove(at);
            assert!(verify(&gap, &whole[4], None).is_err());
        }
    }

    #[test]
    fn a_rewritten_row_breaks_the_next_one() {
        let mut rows = rows(3);
        rows[1].who = "nobody".to_owned();
        rows[1].hash = hex(&rows[1].hash_after(&rows[0].hash_bytes().unwrap()));
        let head = rows[2].clone();
        assert_eq!(verify(&rows, &head, None), Err(Break::Changed(3)));
    }

    #[test]
    fn a_cut_tail_shows_only_against_a_checkpoint() {
        let whole = rows(5);
        let checkpoint = whole[4].hash_bytes();
        assert_eq!(verify(&whole, &whole[4], checkpoint), Ok(Some(5)));
        assert_eq!(verify(&whole[..3], &whole[2], None), Ok(None), "a chain alone cannot know");
        assert_eq!(verify(&whole[..3], &whole[2], checkpoint), Err(Break::Checkpoint));
    }
}
