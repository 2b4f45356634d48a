import Glibc
import PluginAPI

/// Who runs generations.
enum GenerationProviderKind: String, Decodable, Sendable { case local, http }

/// Who takes payments.
enum PaymentProviderKind: String, Decodable, Sendable { case none, http }

extension DomainSettings {
  /// Refuses what no provider could work with.
  /// - Throws: `SettingsError`.
  func checkProviders() throws {
    if generationProvider == .http {
      guard generationEndpoint != nil else {
        throw SettingsError(key: "generation-endpoint", reason: "is needed by generation-provider = http")
      }
      guard !model.isEmpty else {
        throw SettingsError(key: "model", reason: "is needed by generation-provider = http: what it offers")
      }
    }
    if paymentProvider == .http, paymentEndpoint == nil {
      throw SettingsError(key: "payment-endpoint", reason: "is needed by payment-provider = http")
    }
    guard .seconds(1)...(.seconds(3600)) ~= generationTimeout else {
      throw SettingsError(key: "generation-timeout", reason: "is not within 1s to 1h")
    }
    // The host takes a route to hang that is not done in 30 s.
    guard .seconds(1)...(.seconds(25)) ~= paymentTimeout else {
      throw SettingsError(key: "payment-timeout", reason: "is not within 1s to 25s")
    }
    for (key, retries) in [("generation-retries", generationRetries), ("payment-retries", paymentRetries)] {
      guard 0...10 ~= retries else { throw SettingsError(key: key, reason: "is not within 0 to 10") }
    }
    guard 1 << 10...1 << 28 ~= generationMaxImage else {
      throw SettingsError(key: "generation-max-image", reason: "is not within 1k to 256m")
    }
    if let providerAuthorities, access(providerAuthorities, R_OK) != 0 {
      throw SettingsError(key: "provider-authorities", reason: "names a file that cannot be read")
    }
  }

  /// nil: purchases are not offered. [main, during start]
  /// - Throws: `SettingsError`; `SystemLibraryError` if there is no libcurl.
  func makePayments(_ store: Store, _ host: Host) throws -> Payments? {
    guard paymentProvider == .http, let endpoint = paymentEndpoint else { return nil }
    let provider = try RemoteProvider(
      RemoteProvider.Settings(
        name: "payment", endpoint: endpoint, token: paymentToken, retries: paymentRetries, maxBody: 1 << 16,
        authorities: providerAuthorities, proxy: providerProxy),
      host: host)
    return Payments(
      HTTPPaymentProvider(provider: provider), store: store, timeout: paymentTimeout,
      log: { host.log($0, $1) })
  }

  /// [main, during start]
  /// - Throws: `SettingsError`; `SystemLibraryError` if there is no libcurl.
  func makeGenerationProvider(_ host: Host) throws -> any GenerationProvider {
    guard generationProvider == .http, let endpoint = generationEndpoint else { return LocalProvider() }
    let provider = try RemoteProvider(
      RemoteProvider.Settings(
        name: "generation", endpoint: endpoint, token: generationToken, retries: generationRetries,
        // As base64, in JSON.
        maxBody: generationMaxImage / 3 * 4 + 1 << 16, authorities: providerAuthorities, proxy: providerProxy),
      host: host)
    return HTTPGenerationProvider(
      provider: provider, timeout: generationTimeout, maxImage: generationMaxImage)
  }
}
