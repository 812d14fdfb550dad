//! Numbered places for values.

/// No place: ends a list.
pub(super) const NONE: u32 = u32::MAX;

/// Places in one chunk. A chunk is allocated whole, so that growing never copies what is there
/// and never doubles the memory; it is freed when its last value goes.
const CHUNK: u32 = 1024;

/// Values under small numbers that stay the same while the value is there.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// The chunks that have a free place.
    open: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    slots: Vec<Slot<T>>,
    live: u32,
    /// The first place that was freed.
    free: u32,
}

#[derive(Debug)]
enum Slot<T> {
    Used(T),
    /// The next place that was freed.
    Free(u32),
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), open: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        let number = self.open.last().copied().unwrap_or_else(|| self.add_chunk());
        let chunk = &mut self.chunks[number as usize];
        let at = chunk.insert(value);
        if chunk.live == CHUNK {
            self.open.pop();
        }
        self.len += 1;
        number * CHUNK + at
    }

    pub(super) fn remove(&mut self, at: u32) -> T {
        let chunk = &mut self.chunks[(at / CHUNK) as usize];
        if chunk.live == CHUNK {
            self.open.push(at / CHUNK);
        }
        self.len -= 1;
        chunk.remove(at % CHUNK)
    }

    pub(super) fn at(&self, at: u32) -> &T {
        match &self.chunks[(at / CHUNK) as usize].slots[(at % CHUNK) as usize] {
            Slot::Used(value) => value,
            Slot::Free(_) => unreachable!("a place that something points to is in use"),
        }
    }

    /// The value in this place, if there is one.
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        match self.chunks.get((at / CHUNK) as usize)?.slots.get((at % CHUNK) as usize)? {
            Slot::Used(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// No place is as large.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.chunks.len()).map_or(NONE, |chunks| chunks * CHUNK)
    }

    pub(super) fn at_mut(&mut self, at: u32) -> &mut T {
        match &mut self.chunks[(at / CHUNK) as usize].slots[(at % CHUNK) as usize] {
            Slot::Used(value) => value,
            Slot::Free(_) => unreachable!("a place that something points to is in use"),
        }
    }

    fn add_chunk(&mut self) -> u32 {
        let number = u32::try_from(self.chunks.len()).expect("memory ends before the numbers do");
        assert!(number < NONE / CHUNK, "memory ends before the numbers do");
        self.chunks.push(Chunk { slots: Vec::new(), live: 0, free: NONE });
        self.open.push(number);
        number
    }
}

impl<T> Chunk<T> {
    fn insert(&mut self, value: T) -> u32 {
        if self.live == 0 {
            self.slots.reserve_exact(CHUNK as usize);
        }
        self.live += 1;
        if self.free == NONE {
            self.slots.push(Slot::Used(value));
            return u32::try_from(self.slots.len() - 1).expect("a chunk is small");
        }
        let at = self.free;
        if let Slot::Free(next) = std::mem::replace(&mut self.slots[at as usize], Slot::Used(value)) {
            self.free = next;
        }
        at
    }

    fn remove(&mut self, at: u32) -> T {
        let Slot::Used(value) = std::mem::replace(&mut self.slots[at as usize], Slot::Free(self.free)) else {
            unreachable!("a place that something points to is in use")
        };
        self.free = at;
        self.live -= 1;
        if self.live == 0 {
            self.slots = Vec::new();
            self.free = NONE;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_reused_and_empty_chunks_freed() {
        let mut slab = Slab::default();
        let places: Vec<u32> = (0..3 * CHUNK).map(|value| slab.insert(value)).collect();
        assert!(places.iter().zip(0..).all(|(at, value)| *slab.at(*at) == value));
        for at in &places[1024..2048] {
            assert_eq!(slab.remove(*at), *at);
        }
        assert_eq!((slab.len(), slab.chunks[1].slots.capacity()), (2048, 0));
        slab.remove(places[5]);
        assert_eq!(
            [slab.get(places[4]), slab.get(places[5]), slab.get(places[1500])],
            [Some(&4), None, None]
        );
        assert_eq!((slab.end(), slab.get(slab.end())), (3 * CHUNK, None));
        let again: Vec<u32> = (0..=CHUNK).map(|_| slab.insert(7)).collect();
        assert!(again.iter().all(|at| *slab.at(*at) == 7 && *at < 3 * CHUNK));
        assert_eq!((slab.len(), slab.chunks.len()), (3072, 3));
    }
}
