import HTTPClient
import JSONBodies

/// Takes payments. Any thread.
protocol PaymentProvider: Sendable {
  /// Asks for a payment; however often it is asked under the purchase's id, one is made.
  ///
  /// - Parameter checkpoint: Called often; what it throws ends the request.
  func charge(
    _ purchase: Purchase, within limit: Duration, checkpoint: () throws -> Void
  ) throws -> PaymentOutcome

  /// Asks what became of a payment, and changes nothing.
  func lookUp(
    _ purchase: Purchase, within limit: Duration, checkpoint: () throws -> Void
  ) throws -> PaymentOutcome
}

enum PaymentOutcome: Sendable, Equatable {
  case paid
  case declined(reason: String?)
  /// It may have been paid, or may be yet.
  case unknown(String)
  /// The provider did not hear of this request.
  case notSent(String, retryAfter: Duration?)
  /// The provider has no such payment.
  case notFound
  /// The provider does not answer such questions.
  case notOffered
}

/// The provider at `payment-endpoint`. See `README.md` for what is said.
struct HTTPPaymentProvider: PaymentProvider {
  let provider: RemoteProvider

  private struct Order: Encodable {
    let id: String
    let userID: String
    let creditAmount: Int64
    let paymentMethodID: String

    private enum CodingKeys: String, CodingKey {
      case id
      case userID = "user_id"
      case creditAmount = "credit_amount"
      case paymentMethodID = "payment_method_id"
    }
  }

  private struct Body: Decodable {
    let status: String
    let id: String?
    let creditAmount: Int64?
    let reason: String?

    private enum CodingKeys: String, CodingKey {
      case status, id, reason
      case creditAmount = "credit_amount"
    }
  }

  func charge(
    _ purchase: Purchase, within limit: Duration, checkpoint: () throws -> Void
  ) throws -> PaymentOutcome {
    let order = Order(
      id: purchase.id, userID: purchase.userID, creditAmount: purchase.amount,
      paymentMethodID: purchase.paymentMethodID)
    let json = try JSONText.encode(order)
    return try outcome(of: purchase) {
      try provider.post(
        json, key: purchase.id, accept: "application/json", within: limit, checkpoint: checkpoint)
    }
  }

  func lookUp(
    _ purchase: Purchase, within limit: Duration, checkpoint: () throws -> Void
  ) throws -> PaymentOutcome {
    let url = try provider.below(purchase.id)
    return try outcome(of: purchase) {
      let response = try provider.get(
        url, accept: "application/json", within: limit, checkpoint: checkpoint)
      switch response.status {
      case 404: throw LookUp.notFound
      case 405, 501: throw LookUp.notOffered
      default: return response
      }
    }
  }

  private enum LookUp: Error { case notFound, notOffered }

  private func outcome(
    of purchase: Purchase, _ send: () throws -> ClientResponse
  ) throws -> PaymentOutcome {
    let response: ClientResponse
    do {
      response = try send()
    } catch let error as HTTPClientError {
      return error.wasSent ? .unknown(error.description) : .notSent(error.description, retryAfter: nil)
    } catch let error as HTTPService.Unavailable {
      return .notSent(error.description, retryAfter: error.retryAfter)
    } catch LookUp.notFound {
      return .notFound
    } catch LookUp.notOffered {
      return .notOffered
    }
    guard [200, 201, 202, 402].contains(response.status) else {
      return .unknown("status \(response.status)")
    }
    let body: Body
    do {
      body = try JSONText.decode(Body.self, from: response.body)
    } catch {
      return response.status == 402
        ? .declined(reason: nil) : .unknown("status \(response.status) without the JSON agreed upon")
    }
    // Of another purchase it proves nothing.
    guard body.id ?? purchase.id == purchase.id, body.creditAmount ?? purchase.amount == purchase.amount
    else {
      return .unknown("the answer is about another payment")
    }
    switch (body.status, response.status) {
    case ("paid", 200...201): return .paid
    case ("declined", _): return .declined(reason: body.reason.map { ProviderText.printable($0) })
    default: return .unknown("status \(response.status), '\(ProviderText.printable(body.status))'")
    }
  }
}
