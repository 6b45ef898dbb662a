internal import Bytes
internal import CTSS2

/// One connection to a TPM, with the objects that were loaded over it.
///
/// Opened for one piece of work and closed after it: a TPM without a resource manager serves one
/// connection at a time, and one that died comes back by connecting again.
@safe final class TPMConnection {
    private let transport: OpaquePointer
    private let context: OpaquePointer
    private var loaded: [UInt32] = []

    static let none: UInt32 = 0xFFF  // ESYS_TR_NONE
    static let password: UInt32 = 0x0FF  // ESYS_TR_PASSWORD
    static let owner: UInt32 = 0x101  // ESYS_TR_RH_OWNER
    static let endorsement: UInt32 = 0x10B  // ESYS_TR_RH_ENDORSEMENT

    /// Connects through the TCTI that `tcti` names and configures, such as `device:/dev/tpmrm0`.
    init(tcti: String) throws(TPMError) {
        var transport: OpaquePointer?
        try unsafe TPMError.check(Tss2_TctiLdr_Initialize(tcti, &transport), "connect to the TPM")
        var context: OpaquePointer?
        let code = unsafe Esys_Initialize(&context, transport, nil)
        guard code == 0, let opened = unsafe transport, let context = unsafe context else {
            unsafe Tss2_TctiLdr_Finalize(&transport)
            throw TPMError(action: "connect to the TPM", code: code)
        }
        unsafe self.transport = opened
        unsafe self.context = context
        // TPM_RC_INITIALIZE: someone started it before, as firmware does.
        let started = unsafe Esys_Startup(context, 0)
        guard started == 0 || started == 0x100 else {
            throw TPMError(action: "start the TPM", code: started)
        }
    }

    deinit {
        for handle in loaded { _ = unsafe Esys_FlushContext(context, handle) }
        var context: OpaquePointer? = unsafe context
        unsafe Esys_Finalize(&context)
        var transport: OpaquePointer? = unsafe transport
        unsafe Tss2_TctiLdr_Finalize(&transport)
    }

    /// Makes a primary key from a TPM2B_PUBLIC; gives its handle and TPMT_PUBLIC.
    func createPrimary(template: [UInt8]) throws(TPMError) -> (handle: UInt32, area: [UInt8]) {
        var sensitive = TPM2B_SENSITIVE_CREATE()
        var outside = TPM2B_DATA()
        var noRegisters = TPML_PCR_SELECTION()
        var input = try unsafe unmarshal(template, TPM2B_PUBLIC()) {
            unsafe Tss2_MU_TPM2B_PUBLIC_Unmarshal($0, $1, $2, $3)
        }
        var handle = TPMConnection.none
        var output: UnsafeMutablePointer<TPM2B_PUBLIC>?
        try unsafe TPMError.check(
            Esys_CreatePrimary(
                context,
                TPMConnection.endorsement,
                TPMConnection.password,
                TPMConnection.none,
                TPMConnection.none,
                &sensitive,
                &input,
                &outside,
                &noRegisters,
                &handle,
                &output,
                nil,
                nil,
                nil
            ),
            "make a key in the TPM"
        )
        loaded.append(handle)
        defer { unsafe Esys_Free(output) }
        let area = try unsafe marshal { bytes, size, offset in
            unsafe Tss2_MU_TPM2B_PUBLIC_Marshal(output, bytes, size, offset)
        }
        return (handle, Array(area.dropFirst(2)))
    }

    /// The handle of a persistent key, if there is one.
    func persistent(_ number: UInt32) -> UInt32? {
        var handle = TPMConnection.none
        let code = unsafe Esys_TR_FromTPMPublic(
            context,
            number,
            TPMConnection.none,
            TPMConnection.none,
            TPMConnection.none,
            &handle
        )
        return code == 0 ? handle : nil
    }

    /// TPMT_PUBLIC of a key in the TPM.
    func publicArea(of handle: UInt32) throws(TPMError) -> [UInt8] {
        var output: UnsafeMutablePointer<TPM2B_PUBLIC>?
        try unsafe TPMError.check(
            Esys_ReadPublic(
                context, handle, TPMConnection.none, TPMConnection.none, TPMConnection.none,
                &output, nil, nil),
            "read a key of the TPM")
        defer { unsafe Esys_Free(output) }
        let area = try unsafe marshal { bytes, size, offset in
            unsafe Tss2_MU_TPM2B_PUBLIC_Marshal(output, bytes, size, offset)
        }
        return Array(area.dropFirst(2))
    }

    /// TPM2_Quote: the TPMS_ATTEST and the TPMT_SIGNATURE over it.
    func quote(
        key: UInt32,
        qualifyingData: [UInt8],
        selection: [UInt8]
    ) throws(TPMError) -> (attest: [UInt8], signature: [UInt8]) {
        var data = try unsafe unmarshal(TPMTemplate.sized(qualifyingData), TPM2B_DATA()) {
            unsafe Tss2_MU_TPM2B_DATA_Unmarshal($0, $1, $2, $3)
        }
        // TPM_ALG_NULL: the scheme of the key.
        var scheme = try unsafe unmarshal([0, 0x10], TPMT_SIG_SCHEME()) {
            unsafe Tss2_MU_TPMT_SIG_SCHEME_Unmarshal($0, $1, $2, $3)
        }
        var registers = try unsafe unmarshal(selection, TPML_PCR_SELECTION()) {
            unsafe Tss2_MU_TPML_PCR_SELECTION_Unmarshal($0, $1, $2, $3)
        }
        var attest: UnsafeMutablePointer<TPM2B_ATTEST>?
        var signature: UnsafeMutablePointer<TPMT_SIGNATURE>?
        try unsafe TPMError.check(
            Esys_Quote(
                context,
                key,
                TPMConnection.password,
                TPMConnection.none,
                TPMConnection.none,
                &data,
                &scheme,
                &registers,
                &attest,
                &signature
            ),
            "quote"
        )
        defer {
            unsafe Esys_Free(attest)
            unsafe Esys_Free(signature)
        }
        let quoted = try unsafe marshal { unsafe Tss2_MU_TPM2B_ATTEST_Marshal(attest, $0, $1, $2) }
        let signed = try unsafe marshal {
            unsafe Tss2_MU_TPMT_SIGNATURE_Marshal(signature, $0, $1, $2)
        }
        return (Array(quoted.dropFirst(2)), signed)
    }

    /// TPM2_PCR_Read, again and again, since one answer holds eight registers.
    func readRegisters(bank: UInt16, registers: [Int]) throws(TPMError) -> [Int: [UInt8]] {
        var values: [Int: [UInt8]] = [:]
        for start in stride(from: 0, to: registers.count, by: 8) {
            let some = Array(registers[start..<min(start + 8, registers.count)])
            let digests = try readSome(TPMTemplate.selection(bank: bank, registers: some))
            guard digests.count == some.count else {
                // TPM_RC_VALUE: a bank that is not there gives no digest, and no error.
                throw TPMError(action: "read registers (the bank is not active)", code: 0x84)
            }
            for (register, digest) in zip(some, digests) { values[register] = digest }
        }
        return values
    }

    private func readSome(_ selection: [UInt8]) throws(TPMError) -> [[UInt8]] {
        var registers = try unsafe unmarshal(selection, TPML_PCR_SELECTION()) {
            unsafe Tss2_MU_TPML_PCR_SELECTION_Unmarshal($0, $1, $2, $3)
        }
        var counter: UInt32 = 0
        var read: UnsafeMutablePointer<TPML_PCR_SELECTION>?
        var list: UnsafeMutablePointer<TPML_DIGEST>?
        try unsafe TPMError.check(
            Esys_PCR_Read(
                context,
                TPMConnection.none,
                TPMConnection.none,
                TPMConnection.none,
                &registers,
                &counter,
                &read,
                &list
            ),
            "read registers"
        )
        defer {
            unsafe Esys_Free(read)
            unsafe Esys_Free(list)
        }
        var reader = Reader(
            try unsafe marshal { unsafe Tss2_MU_TPML_DIGEST_Marshal(list, $0, $1, $2) }
        )
        var digests: [[UInt8]] = []
        do throws(ReadError) {
            for _ in 0..<(try reader.u32()) { digests.append(try reader.take(Int(reader.u16()))) }
        } catch {
            throw TPMError(action: "read registers", code: 0x84)
        }
        return digests
    }

    /// TPM2_ActivateCredential under a policy session that the endorsement key's policy asks for.
    func activate(
        key: UInt32,
        endorsementKey: UInt32,
        idObject: [UInt8],
        encryptedSecret: [UInt8]
    ) throws(TPMError) -> [UInt8] {
        var object = try unsafe unmarshal(idObject, TPM2B_ID_OBJECT()) {
            unsafe Tss2_MU_TPM2B_ID_OBJECT_Unmarshal($0, $1, $2, $3)
        }
        var secret = try unsafe unmarshal(encryptedSecret, TPM2B_ENCRYPTED_SECRET()) {
            unsafe Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal($0, $1, $2, $3)
        }
        // TPM_ALG_NULL: parameters of the session are not encrypted.
        var symmetric = try unsafe unmarshal([0, 0x10], TPMT_SYM_DEF()) {
            unsafe Tss2_MU_TPMT_SYM_DEF_Unmarshal($0, $1, $2, $3)
        }
        var session = TPMConnection.none
        // TPM_SE_POLICY, SHA-256.
        try unsafe TPMError.check(
            Esys_StartAuthSession(
                context,
                TPMConnection.none,
                TPMConnection.none,
                TPMConnection.none,
                TPMConnection.none,
                TPMConnection.none,
                nil,
                1,
                &symmetric,
                0x000B,
                &session
            ),
            "start a session"
        )
        loaded.append(session)
        try unsafe TPMError.check(
            Esys_PolicySecret(
                context,
                TPMConnection.endorsement,
                session,
                TPMConnection.password,
                TPMConnection.none,
                TPMConnection.none,
                nil,
                nil,
                nil,
                0,
                nil,
                nil
            ),
            "authorise the endorsement key"
        )
        var answer: UnsafeMutablePointer<TPM2B_DIGEST>?
        let code = unsafe Esys_ActivateCredential(
            context,
            key,
            endorsementKey,
            TPMConnection.password,
            session,
            TPMConnection.none,
            &object,
            &secret,
            &answer
        )
        try TPMError.check(code, "activate the credential")
        // The session went with the command.
        loaded.removeAll { $0 == session }
        defer { unsafe Esys_Free(answer) }
        let bytes = try unsafe marshal { unsafe Tss2_MU_TPM2B_DIGEST_Marshal(answer, $0, $1, $2) }
        return Array(bytes.dropFirst(2))
    }

    /// What an NV index holds, or `nil` if there is none.
    func readIndex(_ number: UInt32) throws(TPMError) -> [UInt8]? {
        guard let index = persistent(number) else { return nil }
        var output: UnsafeMutablePointer<TPM2B_NV_PUBLIC>?
        try unsafe TPMError.check(
            Esys_NV_ReadPublic(
                context,
                index,
                TPMConnection.none,
                TPMConnection.none,
                TPMConnection.none,
                &output,
                nil
            ),
            "read an NV index"
        )
        let size = unsafe output?.pointee.nvPublic.dataSize ?? 0
        unsafe Esys_Free(output)
        var bytes: [UInt8] = []
        // 512 is the least that MAX_NV_BUFFER_SIZE may be on a PC Client TPM.
        while bytes.count < Int(size) {
            let count = min(512, size - UInt16(bytes.count))
            bytes += try readIndex(index, count: count, offset: UInt16(bytes.count))
        }
        return bytes
    }

    private func readIndex(
        _ index: UInt32,
        count: UInt16,
        offset: UInt16
    ) throws(TPMError) -> [UInt8] {
        var data: UnsafeMutablePointer<TPM2B_MAX_NV_BUFFER>?
        // Certificates may be read with the index's own empty authorisation, or the owner's.
        for authorisation in [index, TPMConnection.owner] {
            let code = unsafe Esys_NV_Read(
                context,
                authorisation,
                index,
                TPMConnection.password,
                TPMConnection.none,
                TPMConnection.none,
                count,
                offset,
                &data
            )
            guard code != 0 else { break }
            if authorisation == TPMConnection.owner {
                throw TPMError(action: "read an NV index", code: code)
            }
        }
        defer { unsafe Esys_Free(data) }
        let bytes = try unsafe marshal {
            unsafe Tss2_MU_TPM2B_MAX_NV_BUFFER_Marshal(data, $0, $1, $2)
        }
        guard bytes.count > 2 else { throw TPMError(action: "read an NV index", code: 0x84) }
        return Array(bytes.dropFirst(2))
    }

    private func marshal(
        _ body: (UnsafeMutablePointer<UInt8>?, Int, UnsafeMutablePointer<Int>) -> UInt32
    ) throws(TPMError) -> [UInt8] {
        // The largest structure read here is a TPM2B_ATTEST, below 2.5 KiB.
        var bytes = [UInt8](repeating: 0, count: 4096)
        var offset = 0
        let code = unsafe bytes.withUnsafeMutableBufferPointer {
            unsafe body($0.baseAddress, $0.count, &offset)
        }
        try TPMError.check(code, "write a structure")
        return Array(bytes[..<offset])
    }

    private func unmarshal<Structure>(
        _ bytes: [UInt8],
        _ empty: Structure,
        _ body: (
            UnsafePointer<UInt8>, Int, UnsafeMutablePointer<Int>, UnsafeMutablePointer<Structure>
        ) -> UInt32
    ) throws(TPMError) -> Structure {
        var structure = empty
        var offset = 0
        let code = unsafe body(bytes, bytes.count, &offset, &structure)
        try TPMError.check(code, "read a structure")
        return structure
    }
}
