import Appraisal
import Keys
import RATS
import Ratel
import Testing

/// The sections `snp` and `nitro`.
struct EnclavePolicyTests {
    private func load(_ text: String) throws(Refusal) -> AppraisalPolicy {
        try PolicyLoader.load(bytes: Array(text.utf8))
    }

    private func code(_ text: String) -> String {
        do throws(Refusal) {
            _ = try load(text)
            return "read"
        } catch {
            return error.code
        }
    }

    private let snp = """
        version: 1
        peers:
          - name: guests
            require: {snp: 1}
            snp:
              products:
                genoa: any
                turin:
                  current: {fmc: 0, bootloader: 1, tee: 0, snp: 2, microcode: 71}
                  committed: any
                  reported: any
                  launch: any
              measurement: ["\(String(repeating: "ab", count: 48))"]
              host_data: any
              id_key_digest: any
              author_key_digest: any
              chip_id: any
              guest_svn: {at_least: 5}
              vmpl: [0, 1]
              abi: {at_least: "1.55"}
              features:
                smt: any
                cxl: refused
                single_socket: any
                aes_xts: any
                rapl_disabled: any
                ciphertext_hiding: any
                page_swap_disabled: any
                alias_check: required
              vlek: ["CN=cloud"]
              revocation: required
              provisional_firmware: refused
        """

    private let nitro = """
        version: 1
        peers:
          - name: enclaves
            require: {nitro: 1}
            nitro:
              pcrs: {0: ["\(String(repeating: "cd", count: 48))"], 1: any, 2: any, 8: any}
              max_skew: 1m
        """

    @Test func aGuestsSectionIsReadAndExplained() throws {
        let policy = try load(snp)
        guard case .appraised(let peers) = policy.peers, let snp = peers[0].snp else {
            Issue.record("no peer")
            return
        }
        let turin = SNPTCB(fmc: 0, bootloader: 1, tee: 0, snp: 2, microcode: 71)
        #expect(snp.products[.turin]?.current == .atLeast(turin))
        #expect(snp.products[.turin]?.launch == .any)
        #expect(snp.products[.genoa]?.current == .any)
        #expect(snp.products[.milan] == nil)
        #expect(snp.identity.measurement == .oneOf([[UInt8](repeating: 0xAB, count: 48)]))
        #expect(snp.identity.hostData == .any)
        #expect(snp.identity.guestSVN == .atLeast(5))
        #expect(snp.identity.vmpl == [0, 1])
        #expect(snp.abi == .atLeast(0x0137))
        #expect(snp.features.smt == .any)
        #expect(snp.features.cxl == .refused)
        #expect(snp.features.aliasCheck == .required)
        #expect(snp.features.aesXTS == .any)
        #expect(snp.loadedKey == .oneOf(["CN=cloud"]))
        #expect(snp.revocation == .required)
        #expect(!snp.allowsProvisionalFirmware)
        #expect(snp.roots == SNPRoots.amd)
        let text = PolicyExplanation.text(policy)
        for words in ["at least fmc 0, bootloader 1", "CN=cloud", "VMPL 0 or 1", "at least 1.55"] {
            #expect(text.contains(words), "\(words)")
        }
    }

    @Test func everyKeyOfAGuestsSectionMustBeThere() {
        var lines = snp.split(separator: "\n", omittingEmptySubsequences: false)
        let first = lines.firstIndex { $0.contains("measurement") } ?? 0
        for index in first..<lines.count {
            let removed = lines.remove(at: index)
            #expect(code(lines.joined(separator: "\n")) != "read", "\(removed)")
            lines.insert(removed, at: index)
        }
    }

    @Test func otherValuesAreRefused() {
        let changes = [
            ("genoa: any", "rome: any", "policy.key.unknown"),
            ("{fmc: 0, bootloader", "{bootloader", "policy.key.missing"),
            ("microcode: 71", "microcode: 256", "policy.value.refused"),
            ("vmpl: [0, 1]", "vmpl: [4]", "policy.value.refused"),
            ("\"1.55\"", "\"1\"", "policy.value.refused"),
            ("\"1.55\"", "\"1.256\"", "policy.value.refused"),
            ("cxl: refused", "cxl: required", "policy.value.refused"),
            ("[\"CN=cloud\"]", "some", "policy.value.refused"),
            ("revocation: required", "revocation: none", "policy.value.refused"),
            ("abab", "ab", "policy.value.refused"),
            ("require: {snp: 1}", "require: {nitro: 1}", "policy.peer.incomplete"),
        ]
        for (old, new, wanted) in changes {
            guard let range = snp.firstRange(of: old) else {
                Issue.record("\(old) is not in the policy")
                continue
            }
            #expect(code(snp.replacingCharacters(in: range, new)) == wanted, "\(new)")
        }
        let empty = snp.split(separator: "\n").filter { line in
            ["genoa", "turin", "current", "committed", "reported", "launch"].allSatisfy {
                !line.contains("        \($0):")
            }
        }
        let text = empty.joined(separator: "\n").split(separator: "products:")
        #expect(code(text.joined(separator: "products: {}")) == "policy.snp.products")
    }

    @Test func anEnclavesSectionIsReadAndExplained() throws {
        let policy = try load(nitro)
        guard case .appraised(let peers) = policy.peers, let section = peers[0].nitro else {
            Issue.record("no peer")
            return
        }
        #expect(section.pcrs[0] == .oneOf([[UInt8](repeating: 0xCD, count: 48)]))
        #expect(section.pcrs[8] == .any)
        #expect(section.maxSkew == 60)
        #expect(section.roots == [NitroPolicy.awsRoot])
        #expect(PolicyExplanation.text(policy).contains("PCR 8: any"))
        let changes = [
            (", 8: any", "", "policy.nitro.pcrs"), ("8: any", "32: any", "policy.value.refused"),
            ("cdcd", "cd", "policy.value.refused"), ("max_skew: 1m", "", "policy.key.missing"),
            ("1m", "1", "policy.value.refused"),
        ]
        for (old, new, wanted) in changes {
            guard let range = nitro.firstRange(of: old) else {
                Issue.record("\(old) is not in the policy")
                continue
            }
            #expect(code(nitro.replacingCharacters(in: range, new)) == wanted, "\(new)")
        }
    }
}

extension String {
    fileprivate func replacingCharacters(in range: Range<Index>, _ new: String) -> String {
        String(self[..<range.lowerBound]) + new + String(self[range.upperBound...])
    }
}
