/// The hash tree over the connections that share one quote: protocol.md, "Binding".
///
/// A lone last node moves up as it is, so a path says at each step on which side its neighbour
/// is; a position would not do.
public struct MerkleTree: Sendable {
    /// How many leaves one quote may carry: 2^16, which a path of 16 steps can reach.
    public static let maxLeaves = 65_536
    /// The longest path, log2 of `maxLeaves`.
    public static let maxPathLength = 16

    /// The way from one leaf to the root.
    public struct Path: Sendable, Equatable {
        /// The neighbours, from the leaf up, 48 bytes each.
        public var neighbours: [[UInt8]]
        /// Bit k is set when neighbour k is the left one; bits past the last are zero.
        public var sides: UInt32

        /// Describes a path.
        public init(neighbours: [[UInt8]], sides: UInt32) {
            self.neighbours = neighbours
            self.sides = sides
        }

        /// The path in a tree of one leaf.
        public static var empty: Path { Path(neighbours: [], sides: 0) }
    }

    private let levels: [[[UInt8]]]

    /// Builds the tree over 1 to `maxLeaves` leaves of 48 bytes.
    public init(leaves: [[UInt8]]) {
        precondition((1...MerkleTree.maxLeaves).contains(leaves.count), "too many or no leaves")
        var levels = [leaves]
        while let level = levels.last, level.count > 1 {
            var above: [[UInt8]] = []
            for index in stride(from: 0, to: level.count, by: 2) {
                let alone = index + 1 == level.count
                above.append(alone ? level[index] : Binding.node(level[index], level[index + 1]))
            }
            levels.append(above)
        }
        self.levels = levels
    }

    /// The root, 48 bytes; of a tree of one leaf, that leaf.
    public var root: [UInt8] { levels[levels.count - 1][0] }

    /// The path from the leaf with this index.
    public func path(of leaf: Int) -> Path {
        var path = Path.empty
        var index = leaf
        for level in levels.dropLast() {
            let neighbour = index ^ 1
            if neighbour < level.count {
                if neighbour < index { path.sides |= 1 << UInt32(path.neighbours.count) }
                path.neighbours.append(level[neighbour])
            }
            index /= 2
        }
        return path
    }

    /// The root that `path` leads to from `leaf`, or `nil` if the path is not well formed.
    public static func root(leaf: [UInt8], path: Path) -> [UInt8]? {
        let count = path.neighbours.count
        guard count <= maxPathLength, path.sides >> UInt32(count) == 0,
            path.neighbours.allSatisfy({ $0.count == 48 })
        else { return nil }
        var node = leaf
        for (step, neighbour) in path.neighbours.enumerated() {
            let isLeft = path.sides >> UInt32(step) & 1 == 1
            node = isLeft ? Binding.node(neighbour, node) : Binding.node(node, neighbour)
        }
        return node
    }
}
