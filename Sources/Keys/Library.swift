internal import COpenSSL

/// Small helpers around OpenSSL's calling conventions.
enum Library {
    /// What an `i2d_…` function writes: called once for the length and once for the bytes.
    @unsafe static func encode(
        _ i2d: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?) -> Int32
    ) -> [UInt8]? {
        let size = i2d(nil)
        guard size > 0 else { return nil }
        var output = [UInt8](repeating: 0, count: Int(size))
        let written = unsafe output.withUnsafeMutableBufferPointer { buffer in
            var cursor = buffer.baseAddress
            return unsafe i2d(&cursor)
        }
        return written == size ? output : nil
    }

    /// What a `d2i_…` function makes of `bytes`, only when it used every one of them.
    @unsafe static func decode(
        _ bytes: [UInt8],
        _ d2i: (UnsafeMutablePointer<UnsafePointer<UInt8>?>, Int) -> OpaquePointer?,
        free: (OpaquePointer) -> Void
    ) -> OpaquePointer? {
        defer { ERR_clear_error() }
        return unsafe bytes.withUnsafeBufferPointer { input -> OpaquePointer? in
            var cursor = input.baseAddress
            guard let made = unsafe d2i(&cursor, input.count) else { return nil }
            guard let start = input.baseAddress, let end = unsafe cursor,
                unsafe end - start == input.count
            else {
                unsafe free(made)
                return nil
            }
            return unsafe made
        }
    }

    /// Forgets queued errors, so that a later call does not report this one's.
    static func clearErrors() { ERR_clear_error() }
}
