--- Which project a buffer belongs to.
local M = {}

M.FILETYPES = {
  'python',
  'rust',
  'javascript',
  'javascriptreact',
  'typescript',
  'typescriptreact',
  'go',
}

-- Each list is looked for from the file upwards; the first list that is found anywhere decides.
-- `Cargo.lock` marks a Cargo workspace, a `Cargo.toml` may be only a member of one.
local MARKERS = {
  { 'greenlit.toml' },
  {
    '.git',
    '.hg',
    'Cargo.lock',
    'pyproject.toml',
    'setup.py',
    'setup.cfg',
    'pytest.ini',
    'tox.ini',
    'package.json',
    'go.mod',
  },
  { 'Cargo.toml' },
}

--- The project's directory, or nil: for a buffer without a file, one that is not on this machine
--- (`scp://…`), and a file outside of every project.
function M.of(bufnr)
  local name = vim.api.nvim_buf_get_name(bufnr)
  if name == '' or name:match('^%a[%w+.-]*://') then
    return nil
  end
  for _, markers in ipairs(MARKERS) do
    local root = vim.fs.root(bufnr, markers)
    if root then
      return root
    end
  end
end

return M
