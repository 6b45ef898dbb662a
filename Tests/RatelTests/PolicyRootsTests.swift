import Appraisal
import Keys
import RATS
import Ratel
import Testing

/// The key `roots` of the sections `tdx`, `sgx`, `snp` and `nitro`.
struct PolicyRootsTests {
    private static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBfzCCASWgAwIBAgIUYMW7xkIirsWRw9rcWKbJSMagE3swCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJVGVzdCBSb290MCAXDTI2MTEyNDA0NDQyN1oYDzIxMjYxMDMx
        MDQ0NDI3WjAUMRIwEAYDVQQDDAlUZXN0IFJvb3QwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAATIEAIm3IRqLCL8dG45uc2VX42XOiZguUbTSkYFv7DTOS+ig7GHSeLd
        3UBztco8/mWL1i7qCvAHg1W5k7FZ0Jebo1MwUTAdBgNVHQ4EFgQUWOQ52tQzlCSD
        T2BSJT5gsAN7DRowHwYDVR0jBBgwFoAUWOQ52tQzlCSDT2BSJT5gsAN7DRowDwYD
        VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiBbiL5g/YNZG8Zny18rWtxy
        Mk4yq975ZQ7doNp3H5JyuAIhAM9D6Rw1/iTbdCeqc97ZC0cqC6lIUXINZe5JALQI
        AmZ5
        -----END CERTIFICATE-----
        """
    private static let leaf = """
        -----BEGIN CERTIFICATE-----
        MIIBfDCCASKgAwIBAgIUOnaqOrbaCF5UZ4B4Nr8op/w3DswwCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJVGVzdCBMZWFmMCAXDTI2MTEyNDA0NDQyN1oYDzIxMjYxMDMx
        MDQ0NDI3WjAUMRIwEAYDVQQDDAlUZXN0IExlYWYwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAASn+XGHTYmTSTUS0ig5rbC411+a32S8poS/QZ9DJucXUz/bST3Z/+vd
        mA0kxuWg1SJF7P67QHTtVrICUIsKtq6xo1AwTjAdBgNVHQ4EFgQUpdbRmifs9oNH
        W29CvI1vdjf5iDowHwYDVR0jBBgwFoAUpdbRmifs9oNHW29CvI1vdjf5iDowDAYD
        VR0TAQH/BAIwADAKBggqhkjOPQQDAgNIADBFAiBMUfxAu8zRmxWAmfl01CYqgr4M
        dEXdHtWShGLV2VFCXAIhAJJs1653QfrtP2iir5F3oWii6JM3zkHZl/2R17jI3E0P
        -----END CERTIFICATE-----
        """

    private func load(
        _ sections: String, _ file: String = authority
    ) throws(Refusal) -> AppraisalPolicy {
        try PolicyLoader.load(bytes: Array(sections.utf8)) { name in
            name == "root.pem" ? Array(file.utf8) : nil
        }
    }

    private func code(_ sections: String, _ file: String = authority) -> String {
        do throws(Refusal) {
            _ = try load(sections, file)
            return "read"
        } catch {
            return error.code
        }
    }

    private let policy = """
        version: 1
        peers:
          - name: domain
            require: {tdx: 1}
            tdx:
              mrtd: any
              rtmr: {0: any, 1: any, 2: any, 3: any}
              mrconfigid: any
              mrowner: any
              mrownerconfig: any
              attributes: []
              tcb: {accept: [UpToDate], min_evaluation: 0}
              platforms: any
              roots: [root.pem]
          - name: enclave
            require: {sgx: 1}
            sgx:
              mrenclave: any
              mrsigner: any
              isvprodid: any
              min_isvsvn: 0
              tcb: {accept: [UpToDate], min_evaluation: 0}
              platforms: any
              roots: [root.pem]
          - name: guest
            require: {snp: 1}
            snp:
              products: {genoa: any}
              measurement: any
              host_data: any
              id_key_digest: any
              author_key_digest: any
              chip_id: any
              guest_svn: any
              vmpl: [0]
              abi: any
              features: {smt: any, cxl: any, single_socket: any, aes_xts: any, rapl_disabled: any,
                         ciphertext_hiding: any, page_swap_disabled: any, alias_check: any}
              vlek: refused
              revocation: required
              provisional_firmware: any
              roots: {genoa: [root.pem]}
          - name: nitro
            require: {nitro: 1}
            nitro:
              pcrs: {0: any, 1: any, 2: any, 8: any}
              max_skew: 1m
              roots: [root.pem]
        """

    @Test func theyReplaceTheVendorsAndAreShouted() throws {
        let policy = try load(policy)
        let certificate = try Certificate.read(pem: PolicyRootsTests.authority)[0]
        let pin = Digest.sha256(certificate.spki)
        guard case .appraised(let peers) = policy.peers else {
            Issue.record("no peers")
            return
        }
        #expect(peers[0].tdx?.roots == [pin])
        #expect(peers[1].sgx?.roots == [pin])
        #expect(peers[2].snp?.roots == [.genoa: [pin]])
        #expect(peers[3].nitro?.roots == [Digest.sha256(certificate.der)])
        #expect(policy.replacedRoots == [.tdx, .sgx, .snp, .nitro])
        let words = PolicyExplanation.text(policy)
        for vendor in ["INTEL'S ROOT", "AMD'S ROOTS", "AWS'S ROOT"] {
            #expect(words.contains("\(vendor) NOT USED"), "\(vendor)")
        }
        #expect(words.contains(Hex.encode(pin)))
    }

    @Test func withoutThemTheVendorsAreTrusted() throws {
        let lines = policy.split(separator: "\n").filter { !$0.contains("roots:") }
        let policy = try load(lines.joined(separator: "\n"))
        guard case .appraised(let peers) = policy.peers else {
            Issue.record("no peers")
            return
        }
        #expect(peers[0].tdx?.roots == DCAPRoots.intel)
        #expect(peers[1].sgx?.roots == DCAPRoots.intel)
        #expect(peers[2].snp?.roots == SNPRoots.amd)
        #expect(peers[3].nitro?.roots == [NitroPolicy.awsRoot])
        #expect(policy.replacedRoots.isEmpty)
        #expect(!PolicyExplanation.text(policy).contains("NOT USED"))
    }

    @Test func theDigestCoversTheirFiles() throws {
        let other = PolicyRootsTests.authority + "\n"
        #expect(try load(policy).digest == load(policy).digest)
        #expect(try load(policy).digest != load(policy, other).digest)
    }

    @Test func whatIsNoRootIsRefused() {
        #expect(code(policy) == "read")
        #expect(code(policy, PolicyRootsTests.leaf) == "policy.roots")
        #expect(code(policy, "nothing") == "policy.value.refused")
        let changes = [
            ("roots: [root.pem]", "roots: []", "policy.roots"),
            ("roots: [root.pem]", "roots: [absent.pem]", "policy.file.unreadable"),
            ("{genoa: [root.pem]}", "{milan: [root.pem]}", "policy.key.unknown"),
            ("{genoa: [root.pem]}", "{}", "policy.key.missing"),
            ("{genoa: [root.pem]}", "{genoa: []}", "policy.roots"),
        ]
        for (old, new, wanted) in changes {
            #expect(policy.contains(old))
            #expect(code(policy.replacing(old, with: new)) == wanted, "\(new)")
        }
    }
}
