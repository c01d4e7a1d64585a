package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/kms/internal/testvault"
)

// command is the program, built once, in a folder of its own.
type command struct {
	t        *testing.T
	bin, dir string
	env      []string
}

func build(t *testing.T) *command {
	t.Helper()
	c := &command{t: t, dir: t.TempDir()}
	c.bin = c.dir + "/coffer"
	cmd := exec.Command("go", "build", "-o", c.bin, "./cmd/coffer")
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return c
}

// run returns standard output; it wants this exit code, and no secret anywhere.
func (c *command) run(exit int, args ...string) (stdout, stderr string) {
	c.t.Helper()
	cmd := exec.Command(c.bin, args...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	require.Equal(c.t, exit, cmd.ProcessState.ExitCode(), "%v\n%s%s", args, out.String(), errOut.String())
	require.NotContains(c.t, out.String()+errOut.String(), "HUSH")
	return strings.TrimSpace(out.String()), errOut.String()
}

// The whole way on the command line: AWS to Azure, with a file that was plain.
func TestCommand(t *testing.T) {
	c := build(t)
	k := start(t)
	v := testvault.New("app")
	defer v.Close()
	require.NoError(t, os.WriteFile(c.dir+"/ca.pem", v.CA(), 0o600))
	require.NoError(t, os.WriteFile(c.dir+"/pw", []byte("Correct-Horse-7-Battery\n"), 0o600))
	plain := bytes.Repeat([]byte("plain text that nobody should see\n"), 5000)
	require.NoError(t, os.WriteFile(c.dir+"/f", plain, 0o600))
	c.env = []string{"AZURE_TENANT_ID=" + testvault.Tenant, "AZURE_CLIENT_ID=" + testvault.Client, "AZURE_CLIENT_SECRET=" + testvault.Secret,
		"COFFER_AZURE_AUTHORITY=" + v.URL, "COFFER_AZURE_CA=ca.pem", "COFFER_AZURE_SKIP_RESOURCE_CHECK=1", "COFFER_AZURE_SKIP_DISCOVERY=1"}
	arn := k.newKey(t, types.KeySpecSymmetricDefault)

	id, _ := c.run(0, "kms", "create", "aws.kms", "--provider", "aws", "--server-key", arn, "--endpoint", k.URL, "--bits", "256",
		"--backup", "backup", "--admin", "anna", "--password-file", "pw")
	require.Len(t, id, 36)
	c.run(0, "encrypt", "f", "--kms-keyfile", "aws.kms")
	out, _ := c.run(0, "cat", "f", "--kms-keyfile", "aws.kms")
	require.Equal(t, strings.TrimSpace(string(plain)), out)
	out, _ = c.run(0, "kms", "test", "aws.kms")
	require.Regexp(t, `credentials +ok`, out)
	require.Regexp(t, `wrap +ok`, out)

	next := k.newKey(t, types.KeySpecSymmetricDefault)
	out, _ = c.run(0, "kms", "rewrap", "aws.kms", "--server-key", next)
	require.Contains(t, out, next)
	_, err := k.admin.ScheduleKeyDeletion(t.Context(), &awskms.ScheduleKeyDeletionInput{KeyId: aws.String(arn)})
	require.NoError(t, err)
	c.run(0, "verify", "f", "--kms-keyfile", "aws.kms")

	second, _ := c.run(0, "kms", "create", "azure.kms", "--provider", "azure", "--server-key", v.URL+"/keys/app", "--bits", "256")
	c.run(0, "rekey", "f", "--to-key", second, "--kms-keyfile", "aws.kms", "--kms-keyfile", "azure.kms")
	k.fail(code(400, "AccessDeniedException"))
	_, says := c.run(1, "cat", "f", "--kms-keyfile", "aws.kms")
	require.Contains(t, says, "access denied")
	require.Contains(t, says, "hint: Give the identity kms:Encrypt and kms:Decrypt")
	k.Close()
	out, _ = c.run(0, "cat", "f", "--kms-keyfile", "azure.kms")
	require.Equal(t, strings.TrimSpace(string(plain)), out)
	out, _ = c.run(0, "kms", "test", "azure.kms")
	require.Regexp(t, `TLS +ok +TLS 1.3, subject`, out)
	out, _ = c.run(1, "kms", "test", "aws.kms")
	require.Regexp(t, `connection +FAILED`, out)
	c.run(0, "decrypt", "f", "--kms-keyfile", "azure.kms")
	now, err := os.ReadFile(c.dir + "/f")
	require.NoError(t, err)
	require.Equal(t, plain, now)
	out, _ = c.run(0, "keyfile", "show", "backup")
	require.Contains(t, out, id)
}
