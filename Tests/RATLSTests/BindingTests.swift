import Keys
import RATLS
import Testing

struct BindingTests {
    @Test func formulasMeetTheVectorsMadeHere() throws {
        let bytes = try #require(TestData.read(TestData.package + "/Tests/Vectors/binding.json"))
        try check(bytes)
    }

    @Test func formulasMeetTheVectorsOfTheDesign() throws {
        let path = TestData.shared + "/design/protocol-vectors.json"
        guard let bytes = TestData.read(path) else {
            print("skipped: \(path) is absent")
            return
        }
        try check(bytes)
    }

    private func check(_ bytes: [UInt8]) throws {
        let cases = try #require(JSONParser.parse(bytes)?["cases"]?.items)
        #expect(cases.count >= 4)
        for item in cases { try check(item) }
    }

    private func check(_ item: JSONValue) throws {
        let connections = try #require(item["connections"]?.items)
        let entries = (item["sub_evidence"]?.items ?? []).map {
            Binding.ManifestEntry(
                kind: UInt8($0["kind"]?.integer ?? 0),
                index: UInt16($0["index"]?.integer ?? 0),
                bytes: TestData.hex($0, "evidence")
            )
        }
        let manifest = Binding.manifest(entries)
        #expect(manifest == TestData.hex(item, "manifest"))
        #expect(Binding.manifest(entries.reversed()) == manifest)
        let tree = MerkleTree(leaves: connections.map { TestData.hex($0, "leaf") })
        #expect(tree.root == TestData.hex(item, "merkle_root"))
        for (index, connection) in connections.enumerated() {
            try check(connection, index: index, tree: tree, manifest: manifest)
        }
        let root = Binding.root(
            merkleRoot: tree.root,
            bindingKeyHash: TestData.hex(item, "binding_key_spki_sha256")
        )
        #expect(root == TestData.hex(item, "root"))
        #expect(Binding.gpuNonce(index: 0, root: root) == TestData.hex(item, "gpu_0"))
        #expect(Binding.gpuNonce(index: 1, root: root) == TestData.hex(item, "gpu_1"))
        #expect(Binding.tpmQualifyingData(root: root) == TestData.hex(item, "tpm"))
        let report = Binding.reportData(root: root, manifest: manifest)
        #expect(report == TestData.hex(item, "report_data"))
    }

    private func check(
        _ connection: JSONValue,
        index: Int,
        tree: MerkleTree,
        manifest: [UInt8]
    ) throws {
        let role = try #require(
            Role(rawValue: UInt8(connection["role"]?.integer ?? 9))
        )
        let challenge = Binding.challengeHash(TestData.hex(connection, "challenge_body"))
        #expect(challenge == TestData.hex(connection, "C"))
        let peer = TestData.hex(connection, "peer_spki_sha256")
        let base = Binding.base(
            Binding.Inputs(
                role: role,
                sequence: UInt32(connection["seq"]?.integer ?? -1),
                attesterKeyHash: TestData.hex(connection, "spki_sha256"),
                peerKeyHash: peer.allSatisfy { $0 == 0 } ? nil : peer,
                challengeHash: challenge,
                attesterNonce: TestData.hex(connection, "n_att"),
                exported: TestData.hex(connection, "ekm"),
                configurationHash: TestData.hex(connection, "config_sha384")
            )
        )
        #expect(base == TestData.hex(connection, "base"))
        let leaf = Binding.leaf(base)
        #expect(leaf == TestData.hex(connection, "leaf"))
        let path = tree.path(of: index)
        #expect(path.sides == UInt32(connection["sides"]?.integer ?? -1))
        let neighbours = connection["path"]?.items?.compactMap { $0.text.flatMap(Hex.decode) }
        #expect(path.neighbours == neighbours)
        #expect(MerkleTree.root(leaf: leaf, path: path) == tree.root)
        #expect(
            Binding.evidenceToSign(base: base, manifest: manifest)
                == TestData.hex(connection, "evidence_tbs")
        )
        #expect(Binding.leaseToSign(base: base) == TestData.hex(connection, "lease_tbs"))
    }

    @Test func pathsLongerOrWiderThanAllowedAreRefused() {
        let leaf = [UInt8](repeating: 1, count: 48)
        let long = MerkleTree.Path(
            neighbours: Array(repeating: leaf, count: MerkleTree.maxPathLength + 1),
            sides: 0
        )
        #expect(MerkleTree.root(leaf: leaf, path: long) == nil)
        let extraSide = MerkleTree.Path(neighbours: [leaf], sides: 2)
        #expect(MerkleTree.root(leaf: leaf, path: extraSide) == nil)
        let short = MerkleTree.Path(neighbours: [[1, 2, 3]], sides: 0)
        #expect(MerkleTree.root(leaf: leaf, path: short) == nil)
    }

    @Test func everyInputChangesTheBase() {
        let hash = [UInt8](repeating: 7, count: 32)
        let inputs = Binding.Inputs(
            role: .server,
            sequence: 0,
            attesterKeyHash: hash,
            peerKeyHash: hash,
            challengeHash: hash,
            attesterNonce: hash,
            exported: hash,
            configurationHash: [UInt8](repeating: 7, count: 48)
        )
        let other = [UInt8](repeating: 8, count: 32)
        let changes: [(inout Binding.Inputs) -> Void] = [
            { $0.role = .client }, { $0.sequence = 1 }, { $0.attesterKeyHash = other },
            { $0.peerKeyHash = other }, { $0.peerKeyHash = nil }, { $0.challengeHash = other },
            { $0.attesterNonce = other }, { $0.exported = other },
            { $0.configurationHash = [UInt8](repeating: 8, count: 48) },
        ]
        var seen = [Binding.base(inputs)]
        for change in changes {
            var changed = inputs
            change(&changed)
            let base = Binding.base(changed)
            #expect(!seen.contains(base))
            seen.append(base)
        }
    }
}
