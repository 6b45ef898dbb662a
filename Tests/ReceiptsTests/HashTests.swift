import Keys
import Receipts
import Testing

struct HashTests {
    /// RFC 9162's tree, worked out by hand for five leaves: ((0 1)(2 3)) 4.
    @Test func theTreeIsThatOfCertificateTransparency() {
        let leaves = (0..<5).map { [UInt8($0)] }
        let hashed = leaves.map { Digest.sha256([0] + $0) }
        func node(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
            Digest.sha256([1] + left + right)
        }
        let four = node(node(hashed[0], hashed[1]), node(hashed[2], hashed[3]))
        #expect(HashTree.root(of: leaves) == node(four, hashed[4]))
        #expect(HashTree.root(of: []) == Digest.sha256([]))
        #expect(HashTree.root(of: [[7]]) == Digest.sha256([0, 7]))
    }

    @Test func pathsLeadToTheRootFromTheirPlaceAlone() {
        for size in 1...17 {
            let leaves = (0..<size).map { [UInt8($0)] }
            let root = HashTree.root(of: leaves)
            for index in 0..<size {
                let path = HashTree.path(to: index, in: leaves)
                func holds(_ leaf: [UInt8], _ place: Int, _ path: [[UInt8]]) -> Bool {
                    HashTree.holds(leaf, at: place, of: size, path: path, root: root)
                }
                #expect(holds(leaves[index], index, path))
                #expect(!holds([99], index, path))
                #expect(!holds(leaves[index], index, path + [root]))
                #expect(!holds(leaves[index], index + size, path))
                if !path.isEmpty { #expect(!holds(leaves[index], index, Array(path.dropLast()))) }
                if size > 1 { #expect(!holds(leaves[index], (index + 1) % size, path)) }
            }
        }
    }

    @Test func aChainShowsWhatIsMissingOrMoved() {
        let request = Digest.sha256([1])
        func head(_ events: [[UInt8]]) -> [UInt8] {
            var chain = StreamChain(request: request)
            for event in events { chain.append(event) }
            return chain.head
        }
        let whole = head([[1], [2], [3]])
        #expect(whole == head([[1], [2], [3]]))
        for other: [[UInt8]] in [
            [[1], [2]], [[2], [1], [3]], [[1, 2], [3]], [[1], [2], [3], []],
        ] {
            #expect(head(other) != whole)
        }
        #expect(StreamChain(request: Digest.sha256([2])).head != StreamChain(request: request).head)
    }
}
