internal import Keys

/// A Merkle tree over SHA-256 as Certificate Transparency has it (RFC 9162 section 2.1): leaves and
/// nodes are hashed under different prefixes, and a lone node moves up as it is.
public enum HashTree {
    /// A tree that grows by a leaf at a time and keeps one hash for each of its levels.
    public struct Growing: Sendable {
        /// How many leaves there are.
        public private(set) var count = 0
        /// The roots of full subtrees, from the largest to the smallest.
        private var full: [[UInt8]] = []

        /// No leaf.
        public init() {}

        public mutating func append(_ entry: [UInt8]) {
            var node = HashTree.leaf(entry)
            // As many subtrees end here as the count has ones at its end.
            var rest = count
            while rest & 1 == 1 {
                node = HashTree.node(full.removeLast(), node)
                rest >>= 1
            }
            full.append(node)
            count += 1
        }

        /// The root over the leaves so far, 32 bytes; of none, SHA-256 of nothing.
        public var root: [UInt8] {
            guard var node = full.last else { return Digest.sha256([]) }
            for left in full.dropLast().reversed() { node = HashTree.node(left, node) }
            return node
        }
    }

    /// The root over these leaves.
    public static func root(of leaves: [[UInt8]]) -> [UInt8] {
        var tree = Growing()
        for leaf in leaves { tree.append(leaf) }
        return tree.root
    }

    /// The hashes that lead from leaf `index` to the root, from the bottom up.
    public static func path(to index: Int, in leaves: [[UInt8]]) -> [[UInt8]] {
        precondition(leaves.indices.contains(index), "a leaf of the tree")
        var path: [[UInt8]] = []
        var (level, place) = (leaves.map(leaf), index)
        while level.count > 1 {
            let neighbour = place ^ 1
            if neighbour < level.count { path.append(level[neighbour]) }
            (level, place) = (above(level), place / 2)
        }
        return path
    }

    /// Whether `path` leads from `entry` at `index` to the `root` of a tree of `size` leaves.
    public static func holds(
        _ entry: [UInt8], at index: Int, of size: Int, path: [[UInt8]], root: [UInt8]
    ) -> Bool {
        guard index >= 0, index < size else { return false }
        var (node, place, width) = (leaf(entry), index, size)
        var rest = path[...]
        while width > 1 {
            if place ^ 1 < width {
                guard let next = rest.popFirst(), next.count == 32 else { return false }
                node = place & 1 == 1 ? self.node(next, node) : self.node(node, next)
            }
            (place, width) = (place / 2, (width + 1) / 2)
        }
        return rest.isEmpty && node == root
    }

    private static func above(_ level: [[UInt8]]) -> [[UInt8]] {
        stride(from: 0, to: level.count, by: 2).map { index in
            index + 1 == level.count ? level[index] : node(level[index], level[index + 1])
        }
    }

    private static func leaf(_ entry: [UInt8]) -> [UInt8] { Digest.sha256([0] + entry) }

    private static func node(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
        Digest.sha256([1] + left + right)
    }
}
