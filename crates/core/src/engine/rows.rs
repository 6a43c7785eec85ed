//! The rows of one region, by name and by number. Growth copies no row.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::row::Content;

/// The number of a row. It is used again after the row was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowId(u32);

/// When a row was read, as the number of the read. Later reads have greater numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(pub(super) u32);

/// A row with what changes at every read.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: Arc<str>,
    pub(super) content: Content,
    /// The read that saw the row last.
    pub(super) tick: Tick,
    /// The seconds of AWS time until which every verdict on the row holds if nothing changes; 0 = judge at every read.
    pub(super) holds_until: u32,
}

/// As many rows are allocated at once.
const SEGMENT: usize = 4096;

/// All rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    segments: Vec<Vec<Option<Row>>>,
    free: Vec<RowId>,
    names: BTreeMap<Arc<str>, RowId>,
}

impl RowId {
    const fn place(self) -> (usize, usize) {
        let number = self.0 as usize;
        (number / SEGMENT, number % SEGMENT)
    }
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn find(&self, name: &str) -> Option<RowId> {
        self.names.get(name).copied()
    }

    pub(super) fn get(&self, id: RowId) -> Option<&Row> {
        let (segment, offset) = id.place();
        self.segments.get(segment)?.get(offset)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: RowId) -> Option<&mut Row> {
        let (segment, offset) = id.place();
        self.segments.get_mut(segment)?.get_mut(offset)?.as_mut()
    }

    /// Adds a row whose name no other row has.
    pub(super) fn insert(&mut self, row: Row) -> Option<RowId> {
        let id = self.free.pop().or_else(|| self.new_id())?;
        self.names.insert(Arc::clone(&row.name), id);
        let (segment, offset) = id.place();
        *self.segments.get_mut(segment)?.get_mut(offset)? = Some(row);
        Some(id)
    }

    /// Makes room for one more row.
    fn new_id(&mut self) -> Option<RowId> {
        let last = self.segments.last();
        if last.is_none_or(|last| last.len() == SEGMENT) {
            self.segments.push(Vec::with_capacity(SEGMENT));
        }
        let before = self.segments.len().saturating_sub(1) * SEGMENT;
        let last = self.segments.last_mut()?;
        last.push(None);
        Some(RowId(u32::try_from(before + last.len() - 1).ok()?))
    }

    pub(super) fn remove(&mut self, id: RowId) -> Option<Row> {
        let (segment, offset) = id.place();
        let row = self.segments.get_mut(segment)?.get_mut(offset)?.take()?;
        self.names.remove(&row.name);
        self.free.push(id);
        Some(row)
    }

    /// Returns the rows whose names begin with the prefix, in the order of their names.
    pub(super) fn beginning<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (RowId, &'a Row)> {
        let range = (Bound::Included(prefix), Bound::Unbounded);
        self.names
            .range::<str, _>(range)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .filter_map(|(_, id)| Some((*id, self.get(*id)?)))
    }

    /// Returns every row, in no particular order.
    pub(super) fn all(&self) -> impl Iterator<Item = (RowId, &Row)> {
        let segments = self.segments.iter().enumerate();
        segments.flat_map(|(segment, rows)| {
            let rows = rows.iter().enumerate();
            rows.filter_map(move |(offset, row)| {
                let number = u32::try_from(segment * SEGMENT + offset).ok()?;
                Some((RowId(number), row.as_ref()?))
            })
        })
    }
}
