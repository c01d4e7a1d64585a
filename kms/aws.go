package kms

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go/logging"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// awsProvider wraps with a symmetric key of AWS KMS: Encrypt and Decrypt, under
// an encryption context that names the key's ID, so that a ciphertext put into
// another file does not decrypt. Credentials come from the SDK's usual chain.
type awsProvider struct{}

var _ Provider = awsProvider{}

const awsName = "aws"

// Names in the encryption context. They show in AWS's logs.
const (
	awsContextPurpose = "coffer-purpose"
	awsContextID      = "coffer-key-id"
	awsPurpose        = "data-encryption-key"
)

// awsEnv are the variables that a file may carry: what they name is read by the
// SDK as if the process's environment named it, which stays as it is.
var awsEnv = []string{"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
	"AWS_EC2_METADATA_DISABLED", "AWS_USE_FIPS_ENDPOINT"}

var awsSecrets = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}

func (awsProvider) Name() string { return awsName }

func (awsProvider) Check(p Place) (Place, error) {
	if p.ServerKey == "" {
		return p, fault.Hint(usage("AWS needs the key's ID, ARN or alias"), "Give --server-key ID.")
	}
	if strings.ContainsAny(p.ServerKey, " \t") {
		return p, usage("an AWS key's ID has no spaces")
	}
	switch in := regionOf(p.ServerKey); {
	case strings.HasPrefix(p.ServerKey, "arn:") && in == "":
		return p, usage("an ARN of a key looks like arn:aws:kms:REGION:ACCOUNT:key/ID")
	case in != "" && p.Region == "":
		p.Region = in
	case in != "" && p.Region != in:
		return p, fault.Hint(usage("the key's ARN is of region %s, and the region given is %s", in, p.Region), "Leave the region away.")
	}
	if p.Endpoint != "" {
		if _, err := checkURL("the endpoint", p.Endpoint); err != nil {
			return p, err
		}
	}
	return p, checkEnv(p.Env, awsEnv, awsSecrets)
}

// regionOf returns the region that an ARN names, "" for anything else.
func regionOf(serverKey string) string {
	parts := strings.SplitN(serverKey, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || parts[2] != "kms" {
		return ""
	}
	return parts[3]
}

func (awsProvider) Connect(ctx context.Context, p Place, o *Options) (Wrapper, error) {
	load := awsLoad(p, o)
	if err := refuseSettings(ctx, p, o); err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, awsFailed(StepCredentials, err)
	}
	if cfg.Region == "" {
		return nil, fault.Hint(usage("AWS needs a region"), "Give --region R, or set AWS_REGION.")
	}
	client := awskms.NewFromConfig(cfg, func(c *awskms.Options) {
		if p.Endpoint != "" {
			c.BaseEndpoint = aws.String(p.Endpoint)
		}
		c.HTTPClient = limitedClient{c.HTTPClient}
	})
	w := &awsWrapper{client: client, cfg: cfg, place: p}
	if u := w.Endpoint(); u != nil { // that of the process's own configuration too
		if _, err := checkURL("AWS's endpoint", u.String()); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// awsLoad turns region and environment entries into what the SDK takes.
func awsLoad(p Place, o *Options) []func(*config.LoadOptions) error {
	load := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }), // attempts are this package's
		config.WithLogConfigurationWarnings(false),
		config.WithLogger(logging.Nop{}), // it would write to standard error
	}
	if o.awsCredentials != nil {
		load = append(load, config.WithCredentialsProvider(o.awsCredentials))
	}
	region := p.Region
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if region == "" {
			region = p.Env[name]
		}
	}
	if region != "" {
		load = append(load, config.WithRegion(region))
	}
	if f := p.Env["AWS_SHARED_CREDENTIALS_FILE"]; f != "" {
		load = append(load, config.WithSharedCredentialsFiles([]string{f}))
	}
	if f := p.Env["AWS_CONFIG_FILE"]; f != "" {
		load = append(load, config.WithSharedConfigFiles([]string{f}))
	}
	if name := p.Env["AWS_PROFILE"]; name != "" {
		load = append(load, config.WithSharedConfigProfile(name))
	}
	if strings.EqualFold(p.Env["AWS_EC2_METADATA_DISABLED"], "true") {
		load = append(load, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	if strings.EqualFold(p.Env["AWS_USE_FIPS_ENDPOINT"], "true") {
		load = append(load, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	return load
}

// refuseSettings refuses a configuration that the file names, where a setting in
// it could hurt: nobody has authenticated the file's word for it yet.
func refuseSettings(ctx context.Context, p Place, o *Options) error {
	if p.Env["AWS_CONFIG_FILE"] == "" && p.Env["AWS_SHARED_CREDENTIALS_FILE"] == "" {
		return nil
	}
	profile := p.Env["AWS_PROFILE"]
	for _, name := range []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE"} {
		if profile == "" {
			profile = o.getenv(name)
		}
	}
	if profile == "" {
		profile = "default"
	}
	shared, err := config.LoadSharedConfigProfile(ctx, profile, func(l *config.LoadSharedConfigOptions) {
		if f := p.Env["AWS_CONFIG_FILE"]; f != "" {
			l.ConfigFiles = []string{f}
		}
		if f := p.Env["AWS_SHARED_CREDENTIALS_FILE"]; f != "" {
			l.CredentialsFiles = []string{f}
		}
	})
	if err != nil {
		return nil // no such profile: loading for good says so
	}
	for s := &shared; s != nil; s = s.Source {
		for _, bad := range []struct{ name, value, does string }{
			{"credential_process", s.CredentialProcess, "would start a program"},
			{"ca_bundle", s.CustomCABundle, "says whom to trust"},
			{"endpoint_url", s.BaseEndpoint, "sends requests elsewhere"},
			{"services", s.ServicesSectionName, "sends requests elsewhere"},
		} {
			if bad.value != "" {
				return fault.Hint(usage("the configuration that the KMS key file names has %s, which %s", bad.name, bad.does),
					"Set AWS_CONFIG_FILE in the process's environment instead of the KMS key file.")
			}
		}
	}
	return nil
}

type awsWrapper struct {
	client *awskms.Client
	cfg    aws.Config
	place  Place
}

var _ Wrapper = (*awsWrapper)(nil)

// Endpoint is the one given, or the one that the SDK chooses for the region.
func (w *awsWrapper) Endpoint() *url.URL {
	o := w.client.Options()
	if o.BaseEndpoint != nil {
		u, err := url.Parse(*o.BaseEndpoint)
		if err != nil {
			return nil
		}
		return u
	}
	fips := o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled
	e, err := o.EndpointResolverV2.ResolveEndpoint(context.Background(), awskms.EndpointParameters{
		Region: aws.String(o.Region), UseFIPS: aws.Bool(fips), UseDualStack: aws.Bool(false)})
	if err != nil {
		return nil
	}
	return &e.URI
}

func (w *awsWrapper) Credentials(ctx context.Context) (string, error) {
	if w.cfg.Credentials == nil {
		return "", awsFailed(StepCredentials, errNoCredentials)
	}
	c, err := w.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", awsFailed(StepCredentials, err)
	}
	return "access key " + maskID(c.AccessKeyID) + " from " + clean(c.Source, 80), nil
}

// maskID shows the ends of an access key's ID, which is no secret but needs not be everywhere.
func maskID(id string) string {
	if len(id) < 12 {
		return "…"
	}
	return id[:4] + "…" + id[len(id)-4:]
}

func awsContext(id dek.ID) map[string]string {
	return map[string]string{awsContextPurpose: awsPurpose, awsContextID: id.String()}
}

func (w *awsWrapper) Wrap(ctx context.Context, k *dek.Key) (Wrapped, error) {
	out, err := w.client.Encrypt(ctx, &awskms.EncryptInput{KeyId: aws.String(w.place.ServerKey), Plaintext: k.ExposeSecret(),
		EncryptionContext: awsContext(k.ID()), EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault})
	if err != nil {
		return Wrapped{}, scrub(awsFailed(StepWrap, err), k.ExposeSecret())
	}
	return Wrapped{Blob: slices.Clone(out.CiphertextBlob), By: aws.ToString(out.KeyId), Algorithm: string(out.EncryptionAlgorithm)}, nil
}

// Unwrap names the key that wrapped: any other key of the account is refused.
func (w *awsWrapper) Unwrap(ctx context.Context, id dek.ID, wrapped Wrapped) ([]byte, error) {
	by := wrapped.By
	if by == "" {
		by = w.place.ServerKey
	}
	out, err := w.client.Decrypt(ctx, &awskms.DecryptInput{KeyId: aws.String(by), CiphertextBlob: wrapped.Blob,
		EncryptionContext: awsContext(id), EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault})
	if err != nil {
		return nil, awsFailed(StepUnwrap, err)
	}
	return out.Plaintext, nil
}
