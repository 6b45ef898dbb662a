internal import Receipts

/// Why a provider has no part in a request; the reason in a decision.
enum Exclusion: String, Sendable, CaseIterable {
    // What the caller named.
    case only, ignore, order
    // What the offer says.
    case expired, withdrawn, quantization, region, retention, price
    // What the Evidence came to.
    case attestation, session, claims, age
    // What the provider can do now.
    case context, parameters, capacity, health, breaker

    /// The first that holds for `provider` at `now`, in milliseconds since 1970; nil for a
    /// candidate.
    static func of(
        _ provider: ProviderRecord, for terms: RequestTerms, now: Int64
    ) -> Exclusion? {
        named(provider, terms.preferences)
            ?? attested(provider, terms.preferences.attestation, now)
            ?? offered(provider.offer, terms.preferences, now)
            ?? able(provider, terms, now)
    }

    private static func named(
        _ provider: ProviderRecord, _ preferences: ProviderPreferences
    ) -> Exclusion? {
        if !preferences.only.isEmpty, !preferences.only.contains(provider.name) { return .only }
        if preferences.ignore.contains(provider.name) { return .ignore }
        let isNamed = preferences.order.contains(provider.name)
        let isBound = !preferences.order.isEmpty && !preferences.allowsFallbacks
        return isBound && !isNamed ? .order : nil
    }

    private static func attested(
        _ provider: ProviderRecord, _ demands: ProviderPreferences.Attestation, _ now: Int64
    ) -> Exclusion? {
        guard let attestation = provider.attestation, now < attestation.admittedUntil else {
            return .attestation
        }
        if !demands.sessions.isEmpty, !demands.sessions.contains(attestation.session) {
            return .session
        }
        if !demands.claims.allSatisfy(attestation.claims.contains) { return .claims }
        // A clock that went back leaves no age to rely on.
        let age = now - attestation.appraised
        if let limit = demands.maxAge, age < 0 || age > limit * 1_000 { return .age }
        return nil
    }

    private static func offered(
        _ offer: Offer, _ preferences: ProviderPreferences, _ now: Int64
    ) -> Exclusion? {
        let seconds = now / 1_000
        guard offer.notBefore <= seconds, seconds <= offer.notAfter else { return .expired }
        guard offer.isOpen else { return .withdrawn }
        let (quantizations, regions) = (preferences.quantizations, preferences.regions)
        if !quantizations.isEmpty, !quantizations.contains(offer.model.quantization) {
            return .quantization
        }
        if !regions.isEmpty, !regions.contains(offer.region) { return .region }
        // What a provider keeps is in its own words; one word says that it is nothing.
        if preferences.deniesRetention, offer.retention != "none" { return .retention }
        return isTooDear(offer.price, preferences.maxPrice) ? .price : nil
    }

    private static func isTooDear(
        _ price: Price, _ limit: ProviderPreferences.PriceLimit
    ) -> Bool {
        // A cached token that costs more than others is a price for the prompt, too.
        let input = max(price.input, price.cached)
        return input > limit.input ?? .max || price.output > limit.output ?? .max
            || price.minimum > limit.request ?? .max
    }

    private static func able(
        _ provider: ProviderRecord, _ terms: RequestTerms, _ now: Int64
    ) -> Exclusion? {
        if terms.room > provider.context { return .context }
        if terms.preferences.requiresParameters,
            !terms.parameters.isSubset(of: provider.parameters)
        {
            return .parameters
        }
        let expected = terms.expected
        let tokens = provider.tokensInUse + expected.input + expected.output
        if provider.openStreams >= provider.offer.streams
            || tokens > provider.offer.tokensPerMinute
        {
            return .capacity
        }
        if !provider.isHealthy { return .health }
        return provider.breaker.allows(now: now) ? nil : .breaker
    }
}
