package kms

import (
	"context"
	"errors"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

var errNoCredentials = errors.New("no credentials were found")

// awsCode is what an error code of AWS means.
type awsCode struct {
	kind error
	hint string // "" for the kind's
}

const (
	hintDisabled  = "Enable the key: aws kms enable-key. Nothing is lost; what is under it waits."
	hintDeletion  = "Cancel the deletion while that is possible: aws kms cancel-key-deletion, then enable-key. After that the key file is worth nothing."
	hintNotFound  = "Check the key's ID and the region: a key exists in one region only."
	hintSymmetric = "Name a symmetric key made for encryption (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT)."
	hintExpired   = "The credentials expired: log in again (aws sso login), or renew the session token."
	hintUnknown   = "AWS does not know these credentials: check the access key, its secret, and the session token."
)

// awsCodes are the codes of AWS KMS and of AWS's common errors.
var awsCodes = map[string]awsCode{
	"AccessDeniedException": {ErrDenied, "Give the identity kms:Encrypt and kms:Decrypt on this key, in its policy or the key's."},
	"AccessDenied":          {ErrDenied, ""}, "UnauthorizedOperation": {ErrDenied, ""}, "OptInRequired": {ErrDenied, ""}, "NotAuthorized": {ErrDenied, ""},
	"DisabledException": {ErrKeyUnusable, hintDisabled}, "KMSInvalidStateException": {ErrKeyUnusable, hintDeletion},
	"NotFoundException": {ErrKeyUnusable, hintNotFound}, "InvalidArnException": {ErrKeyUnusable, hintNotFound},
	"InvalidAliasNameException": {ErrKeyUnusable, hintNotFound}, "InvalidKeyUsageException": {ErrKeyUnusable, hintSymmetric},
	"UnsupportedOperationException": {ErrKeyUnusable, hintSymmetric}, "ValidationException": {ErrKeyUnusable, hintNotFound},
	"InvalidCiphertextException": {ErrWrongKey, ""}, "IncorrectKeyException": {ErrWrongKey, ""},
	"ThrottlingException": {ErrThrottled, ""}, "Throttling": {ErrThrottled, ""}, "TooManyRequestsException": {ErrThrottled, ""},
	"RequestLimitExceeded": {ErrThrottled, ""}, "LimitExceededException": {ErrThrottled, ""}, "SlowDown": {ErrThrottled, ""},
	"ThrottledException": {ErrThrottled, ""}, "RequestThrottled": {ErrThrottled, ""}, "RequestThrottledException": {ErrThrottled, ""},
	"KeyUnavailableException": {ErrUnavailable, ""}, "DependencyTimeoutException": {ErrUnavailable, ""},
	"KMSInternalException": {ErrUnavailable, ""}, "InternalFailure": {ErrUnavailable, ""}, "ServiceUnavailable": {ErrUnavailable, ""},
	"ExpiredTokenException": {ErrCredentials, hintExpired}, "ExpiredToken": {ErrCredentials, hintExpired},
	"UnrecognizedClientException": {ErrCredentials, hintUnknown}, "InvalidClientTokenId": {ErrCredentials, hintUnknown},
	"SignatureDoesNotMatch": {ErrCredentials, hintUnknown}, "IncompleteSignature": {ErrCredentials, hintUnknown},
	"MissingAuthenticationToken": {ErrCredentials, hintUnknown}, "InvalidSignatureException": {ErrCredentials, hintUnknown},
	"RequestExpired": {ErrClock, ""}, "RequestTimeTooSkewed": {ErrClock, ""}, "RequestInTheFuture": {ErrClock, ""},
}

// skewed are parts of messages with which AWS refuses a signature for its time only.
var skewed = []string{"Signature expired", "Signature not yet current", "is now earlier than", "is not within"}

// awsFailed turns an error of the SDK into one of this package.
func awsFailed(step Step, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if step == StepCredentials && strings.Contains(err.Error(), "EC2 IMDS") { // the last link of the chain
		return fail(noAWSCredentials())
	}
	var api smithy.APIError
	var res *awshttp.ResponseError
	e := &Error{Provider: awsName, Step: step}
	if errors.As(err, &res) {
		e.Status = res.HTTPStatusCode()
		if res.Response != nil && res.Response.Response != nil {
			e.After = parseAfter(res.Response.Header)
		}
	}
	if errors.As(err, &api) && api.ErrorCode() != "" && e.Status != 0 {
		e.Code, e.Message = api.ErrorCode(), api.ErrorMessage()
		e.classifyAWS()
		return fail(e)
	}
	if e.Status == 0 {
		if f := failed(awsName, step, err); f != nil {
			return f
		}
	}
	switch {
	case errors.Is(err, ErrAnswer):
		e.Kind, e.Message = ErrAnswer, "the answer is too long"
	case e.Status >= 500 || e.Status == http.StatusTooManyRequests:
		e.classifyStatus()
	case e.Status != 0:
		e.Kind, e.Message = ErrAnswer, "the answer is not one of AWS KMS"
	case step == StepCredentials || strings.Contains(err.Error(), "get identity"):
		e = noAWSCredentials()
	default:
		e.Kind, e.Message = ErrAnswer, "the answer cannot be read"
	}
	return fail(e)
}

func noAWSCredentials() *Error {
	return &Error{Provider: awsName, Step: StepCredentials, Kind: ErrCredentials, Message: "the usual chain found none that work",
		hint: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, log in (aws sso login), or name a profile or a credentials file."}
}

// classifyAWS goes by the code, and by the status where the code is not known.
func (e *Error) classifyAWS() {
	code, known := awsCodes[e.Code]
	switch {
	case known && code.kind == ErrCredentials && e.isSkew():
		e.Kind = ErrClock
	case known:
		e.Kind, e.hint = code.kind, code.hint
	default:
		e.classifyStatus()
	}
}

func (e *Error) isSkew() bool {
	for _, part := range skewed {
		if strings.Contains(e.Message, part) {
			return true
		}
	}
	return false
}

// classifyStatus goes by HTTP alone.
func (e *Error) classifyStatus() {
	switch {
	case e.Status == http.StatusTooManyRequests:
		e.Kind = ErrThrottled
	case e.Status >= 500:
		e.Kind = ErrUnavailable
	case e.Status == http.StatusUnauthorized:
		e.Kind = ErrCredentials
	case e.Status == http.StatusForbidden:
		e.Kind = ErrDenied
	case e.Status == http.StatusNotFound:
		e.Kind = ErrKeyUnusable
	default:
		e.Kind = ErrAnswer
	}
}
