internal import Keys

/// Sends prompts that begin alike to the same provider, where their beginning is cached, as long as
/// it has no more than its share of the load.
///
/// Each provider's rank for a prefix is an HMAC under a key of the router's own, so that nobody
/// outside can work out where a prompt goes, or make one that goes to where another's went
/// (rendezvous hashing). A provider that has more than 5/4 of its part of the open streams is
/// passed over (consistent hashing with bounded loads, Mirrokni, Thorup and Zadimoghaddam 2016).
package struct Affinity: Sendable {
    /// One provider of the band.
    struct Place: Sendable {
        var name: String
        var openStreams: Int64
        var streams: Int64
    }

    private let key: [UInt8]

    /// Bound of the load over the mean: with 1 + ε, a request is passed on 1/ε² times in the mean
    /// at most, 16 here, and a cache's provider is never more than a quarter over its share.
    private static let bound: (numerator: Int64, denominator: Int64) = (5, 4)

    /// `key` is secret, 32 bytes.
    package init(key: [UInt8]) {
        precondition(key.count == 32, "a key of 32 bytes")
        self.key = key
    }

    /// The place that `prefix` belongs to; nil where there are none.
    func preferred(_ prefix: [UInt8], among places: [Place]) -> Int? {
        let open = places.reduce(1) { $0 + $1.openStreams }
        let capacity = places.reduce(0) { $0 + $1.streams }
        var best: (rank: [UInt8], index: Int)?
        for (index, place) in places.enumerated()
        where hasRoom(place, open: open, capacity: capacity) {
            let rank = rank(prefix, place.name)
            if best.map({ $0.rank.lexicographicallyPrecedes(rank) }) ?? true {
                best = (rank, index)
            }
        }
        return best?.index
    }

    // ⌈5/4 · its part of all streams, this one included⌉. The bounds' sum is over the sum of the
    // loads, so that one of them always has room.
    private func hasRoom(_ place: Place, open: Int64, capacity: Int64) -> Bool {
        let share = Int128(open) * Int128(place.streams) * Int128(Affinity.bound.numerator)
        let whole = Int128(max(1, capacity)) * Int128(Affinity.bound.denominator)
        return Int128(place.openStreams) < (share + whole - 1) / whole
    }

    private func rank(_ prefix: [UInt8], _ name: String) -> [UInt8] {
        // The name last: a prefix is a digest, whose size is always the same.
        Digest.sha256.authenticate(
            Array("ratel/affinity/1".utf8) + [0] + Digest.sha256(prefix) + Array(name.utf8),
            key: key)
    }
}
