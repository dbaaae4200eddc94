<#
.SYNOPSIS
Starts the Enhanced API Gateway example: five services and the gateway in front of them.

.DESCRIPTION
    .\start-gateway.ps1 -Development            one worker, debug log
    .\start-gateway.ps1 -Production -Cluster    one worker for each processor
    .\start-gateway.ps1 -Port 8080              another port
    .\start-gateway.ps1 -Config                 shows the configuration and ends
    .\start-gateway.ps1 -Install                installs dependencies first

Without a switch it starts as -Production. Ctrl-C ends it. Variables that are set already, such as JWT_SECRET and
REDIS_URL, are handed on.
#>
[CmdletBinding()]
param(
    [switch]$Development,
    [switch]$Production,
    [switch]$Cluster,
    [ValidateRange(1, 65535)]
    [int]$Port = 0,
    [switch]$Config,
    [switch]$Install
)

$ErrorActionPreference = 'Stop'
$root = (Resolve-Path (Join-Path $PSScriptRoot (Join-Path '..' '..'))).Path

if ($Development -and $Production) {
    [Console]::Error.WriteLine('Choose -Development or -Production, not both.')
    exit 2
}

if ($Config) {
    Get-Content (Join-Path $PSScriptRoot (Join-Path 'config' 'gateway-config.json'))
    exit 0
}

if (-not (Get-Command npm -ErrorAction SilentlyContinue)) {
    [Console]::Error.WriteLine('npm was not found: install Node.js 24 or newer.')
    exit 5
}

# Asked for, or never installed.
if ($Install -or -not (Test-Path (Join-Path $root 'node_modules'))) {
    npm --prefix $root install
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
}

if ($PSBoundParameters.ContainsKey('Port')) { $env:PORT = "$Port" }
$script = if ($Development) { 'dev' } elseif ($Cluster) { 'cluster' } else { 'start' }
# -Development -Cluster: the log of development with all processors.
if ($Cluster) { $env:CLUSTER_MODE = 'true' }

Push-Location $PSScriptRoot
try {
    npm run $script
    exit $LASTEXITCODE
}
finally {
    Pop-Location
}
